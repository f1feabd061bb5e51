"""Any table of labels beside any folder of media; columns are named, or guessed and shown."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pandas as pd

from pipeline.clip_ids import clean_path, match_files, match_paths
from pipeline.files import MEDIA_SUFFIXES
from pipeline.imports.collection import Collection, list_media, report_matches
from pipeline.imports.columns import LabelColumns, guess_label_columns
from pipeline.imports.findings import Findings, RefusedError
from pipeline.imports.reading import read_text_table
from pipeline.imports.splitting import split_by_person


def read_any_table(
    path: Path,
    media: Path | None,
    columns: LabelColumns,
    findings: Findings,
    shares: Sequence[float] | None = None,
    seed: int = 0,
) -> Collection:
    """Read a label table and find the media of its clips.

    Parameters
    ----------
    path : Path
        CSV in any usual form, or Parquet.
    media : Path or None
        The folder of the media; None is the folder of the table.
    columns : LabelColumns
        What is known of the columns.
    findings : Findings
        What is noticed is added.
    shares : sequence of float, optional
        Shares of Train, Val and Test: draw new splits by person. A column with splits is then
        not used.
    seed : int
        Of that draw.

    Raises
    ------
    RefusedError
        For a column that is not there or cannot be guessed, or a media folder without media.
    """
    table = read_text_table(path, findings)
    chosen = _choose(table, columns, findings, path, need_split=shares is None)
    folder = path.parent if media is None else media
    files = list_media(folder)
    if media is not None and not files:
        what = "has no media files" if media.is_dir() else "is no folder"
        why = f"{media} {what}: expected some of {sorted(MEDIA_SUFFIXES)} in it"
        raise RefusedError("folders without media", [media], why)
    paths = None if chosen.path is None else table[chosen.path].map(clean_path, "ignore")
    if chosen.id is not None:
        ids = table[chosen.id]
    else:
        ids = table[chosen.path].map(lambda path: PurePosixPath(clean_path(path)).stem, "ignore")
    found = _find_paths(ids, paths, files, findings)
    labels = pd.DataFrame({"clip_id": ids, "path": found}, index=table.index)
    if chosen.person is not None:
        labels["group"] = table[chosen.person]
    if shares is None:
        labels["split"] = table[chosen.split]
    else:
        alone = "clip:" + labels["clip_id"].astype("string")
        people = labels["group"].astype("string").fillna(alone) if "group" in labels else alone
        labels["split"] = split_by_person(people, shares, seed)
    labels = labels.join(table[list(chosen.targets)])
    rest = table.drop(columns=chosen.named())
    taken = {name: f"{name}_given" for name in rest if name in labels}
    done = "kept under the name with _given"
    findings.add("columns whose names have another meaning here", "note", taken, done)
    return Collection(labels.join(rest.rename(columns=taken)), chosen.targets, folder)


def _find_paths(
    ids: "pd.Series[str]",
    paths: "pd.Series[str] | None",
    files: list[str],
    findings: Findings,
) -> list[str | None]:
    """Return the file of each clip; of one that is not there, the path that it should have."""
    pairs = zip(ids, ids if paths is None else paths.fillna(ids), strict=True)
    expected = {str(clip): str(path) for clip, path in pairs if pd.notna(clip)}
    if paths is None:
        matches = match_files(expected, files)
    else:
        matches = match_paths(expected, files)
        several = pd.Series(matches.found)
        done = "kept: they are the same clip under several ids"
        findings.add("ids of one file", "warning", several[several.duplicated()].index, done)
    report_matches(matches, bool(files), findings)
    return [matches.found.get(clip, expected.get(clip)) if files else None for clip in ids]


def _choose(
    table: pd.DataFrame, given: LabelColumns, findings: Findings, path: Path, need_split: bool
) -> LabelColumns:
    """Find out which column is what; show what was guessed, refuse what is missing."""
    columns = list(table.columns)
    unknown = [name for name in given.named() if name not in columns]
    if unknown:
        why = f"{path} has no column(s) {unknown}; it has {columns}"
        raise RefusedError("missing columns", unknown, why)
    chosen = guess_label_columns(table, given)
    if not need_split:
        chosen = replace(chosen, split=None)
    lacking = {
        "id": not (chosen.id or chosen.path) and "an id or a path: name one with --id or --path",
        "split": need_split
        and not chosen.split
        and "train, val or test: name it with --split, or draw splits with --split-by-person",
        "targets": not chosen.targets and "a target: name them with --targets a,b,c",
    }
    for what, wanted in lacking.items():
        if wanted:
            why = f"no column of {path} looks like {wanted}; it has {columns}"
            raise RefusedError("missing columns", [what], why)
    done = "name them by --id, --path, --split, --person or --targets where that is wrong"
    for role in ("path", "id", "split", "person"):
        name = getattr(chosen, role)
        if name is not None and getattr(given, role) is None:
            findings.add("guessed", "note", [f"{role} = {name}"], done)
    if not given.targets:
        findings.add("guessed", "note", [f"targets = {','.join(chosen.targets)}"], done)
    return chosen
