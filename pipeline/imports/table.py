"""Any table of labels beside any folder of media; columns are named, or guessed and shown."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from pipeline.files import MEDIA_SUFFIXES
from pipeline.imports.checks import SPLIT_WORDS
from pipeline.imports.collection import Collection
from pipeline.imports.findings import Findings, RefusedError
from pipeline.imports.matching import (
    clean_path,
    list_media,
    match_files,
    match_paths,
    report_matches,
)
from pipeline.imports.reading import read_table, to_numbers
from pipeline.imports.splitting import split_by_person
from pipeline.labels import MADE_BY_INDEX

_NAMES = {
    "id": ["clipid", "fileid", "videoid", "sampleid", "clip", "id", "name", "video", "sample"],
    "path": ["path", "filepath", "videopath", "filename", "file", "media", "image", "audio"],
    "split": ["split", "partition", "subset", "set", "usage"],
    "person": ["group", "person", "subject", "speaker", "participant", "actor", "user"],
}
# Numbers that are no reaction, when targets are guessed.
_NO_TARGET = MADE_BY_INDEX | {"age", "gender", "sex", "year", "duration", "frames", "fps", "fold"}
_NO_TARGET |= {"width", "height", "index", "start", "end", "number", "country", "seed"}


@dataclass(frozen=True)
class Columns:
    """Which column is what; None is guessed. An empty `targets` is guessed too."""

    id: str | None = None
    path: str | None = None
    split: str | None = None
    person: str | None = None
    targets: tuple[str, ...] = ()


@dataclass(frozen=True)
class PersonSplit:
    """Shares of Train, Val and Test, and the seed of the draw."""

    shares: tuple[float, float, float]
    seed: int


def read_any_table(
    table_path: Path,
    media: Path | None,
    columns: Columns,
    findings: Findings,
    by_person: PersonSplit | None = None,
) -> Collection:
    """Read a label table and find the media of its clips.

    Parameters
    ----------
    table_path : Path
        CSV in any usual form, or Parquet.
    media : Path or None
        The folder of the media; None is the folder of the table.
    columns : Columns
        What is known of the columns.
    findings : Findings
        What is noticed is added.
    by_person : PersonSplit, optional
        Draw new splits by person; a column with splits is then not used.

    Raises
    ------
    RefusedError
        For a column that is not there or cannot be guessed, or a media folder without media.
    """
    table = read_table(table_path, findings)
    chosen = _choose(table, columns, findings, table_path, need_split=by_person is None)
    folder = table_path.parent if media is None else media
    files = list_media(folder)
    if media is not None and not files:
        what = "has no media files" if media.is_dir() else "is no folder"
        why = f"{media} {what}: expected some of {sorted(MEDIA_SUFFIXES)} in it"
        raise RefusedError("folders without media", [media], why)
    labels = pd.DataFrame(index=table.index)
    if chosen.id is not None:
        labels["clip_id"] = table[chosen.id]
    else:
        labels["clip_id"] = table[chosen.path].map(_stem, na_action="ignore")
    labels["path"] = _find_paths(labels["clip_id"], table, chosen.path, files, findings)
    if chosen.person is not None:
        labels["group"] = table[chosen.person]
    if by_person is None:
        labels["split"] = table[chosen.split]
    else:
        person = labels["group"] if "group" in labels else pd.Series(pd.NA, index=table.index)
        people = person.astype("string").fillna("clip:" + labels["clip_id"].astype("string"))
        labels["split"] = split_by_person(people, by_person.shares, by_person.seed)
    used = [chosen.id, chosen.path, chosen.person, *([chosen.split] if by_person is None else [])]
    for target in chosen.targets:
        labels[target] = table[target]
    rest = table.drop(columns=[name for name in [*used, *chosen.targets] if name is not None])
    taken = {name: f"{name}_given" for name in rest if name in labels}
    done = "kept under the name with _given"
    findings.add("columns whose names have another meaning here", "note", taken, done)
    return Collection(labels.join(rest.rename(columns=taken)), chosen.targets, folder)


def _find_paths(
    ids: "pd.Series[str]",
    table: pd.DataFrame,
    column: str | None,
    files: list[str],
    findings: Findings,
) -> list[str | None]:
    names = dict.fromkeys(ids.dropna())
    if column is None:
        expected = {clip: str(clip) for clip in names}
        matches = match_files(expected, files)
    else:
        given = zip(ids, table[column], strict=True)
        expected = {clip: clean_path(p) for clip, p in given if pd.notna(clip) and pd.notna(p)}
        matches = match_paths(expected, files)
        several = pd.Series(matches.file_of)
        done = "kept: they are the same clip under several ids"
        findings.add("ids of one file", "warning", several[several.duplicated()].index, done)
    report_matches(matches, names, files, findings)
    if not files:
        return [None] * len(ids)
    return [matches.file_of.get(clip, expected.get(clip, str(clip))) for clip in ids]


def _choose(
    table: pd.DataFrame, columns: Columns, findings: Findings, path: Path, need_split: bool
) -> Columns:
    named = [columns.id, columns.path, columns.split, columns.person, *columns.targets]
    unknown = [name for name in named if name is not None and name not in table]
    if unknown:
        why = f"{path} has no column(s) {unknown}; it has {list(table.columns)}"
        raise RefusedError("missing columns", unknown, why)
    free = [str(name) for name in table.columns if name not in named]
    guessed = []

    def guess(role: str, given: str | None) -> str | None:
        if given is not None:
            return given
        fits = [name for name in free if _fits(role, table[name])]
        by_name = {_plain(name): name for name in reversed(fits)}
        found = next((by_name[word] for word in _NAMES[role] if word in by_name), None)
        if found is not None:
            free.remove(found)
            guessed.append(f"{role} = {found}")
        return found

    path_column = guess("path", columns.path)
    id_column = guess("id", columns.id)
    split = guess("split", columns.split) if need_split else None
    person = guess("person", columns.person)
    if id_column is None and path_column is None:
        raise RefusedError(
            "missing columns",
            ["id"],
            f"no column of {path} looks like an id or a path: name one with --id or --path; it "
            f"has {list(table.columns)}",
        )
    if need_split and split is None:
        raise RefusedError(
            "missing columns",
            ["split"],
            f"no column of {path} looks like a split (train, val, test): name it with --split, or "
            "have one drawn with --split-by-person 0.7,0.15,0.15",
        )
    targets = columns.targets or _guess_targets(table, free)
    if not targets:
        raise RefusedError(
            "missing columns",
            ["targets"],
            f"no column of {path} looks like a target: name them with --targets a,b,c; it has "
            f"{list(table.columns)}",
        )
    if not columns.targets:
        guessed.append(f"targets = {','.join(targets)}")
    done = "name them by --id, --path, --split, --person or --targets where that is wrong"
    for each in guessed:
        findings.add("guessed", "note", [each], done)
    return Columns(id_column, path_column, split, person, tuple(targets))


def _fits(role: str, column: "pd.Series[str]") -> bool:
    filled = column.dropna()
    if role == "split":
        return bool(len(filled)) and bool(
            filled.str.casefold().isin(list(SPLIT_WORDS)).mean() > 0.5
        )
    if role == "id":
        return bool(column.notna().all() and (column.nunique() > len(column) / 2))
    if role == "path":
        endings = filled.map(lambda cell: PurePosixPath(cell).suffix.lower())
        return bool(len(filled)) and bool(endings.isin(list(MEDIA_SUFFIXES)).mean() > 0.5)
    return True


def _guess_targets(table: pd.DataFrame, free: Sequence[str]) -> tuple[str, ...]:
    """Take every column of numbers that is not about something else."""
    found = []
    for name in free:
        numbers, wrong = to_numbers(table[name])
        words = set(re.split(r"[^a-z]+", name.lower()))
        if numbers.notna().any() and not wrong.any() and not words & _NO_TARGET:
            found.append(name)
    return tuple(found)


def _plain(name: str) -> str:
    plain = re.sub(r"[^a-z]", "", name.lower())
    return plain.removesuffix("id") if plain.removesuffix("id") in _NAMES["person"] else plain


def _stem(path: str) -> str:
    return PurePosixPath(clean_path(path)).stem
