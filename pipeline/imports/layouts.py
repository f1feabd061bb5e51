"""Where labels are and how they are laid out: any table, Hume-Reaction twice, and CREMA-D."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
import pandas as pd

from features.files import is_lfs_pointer
from features.media.endings import MEDIA_SUFFIXES, list_media_folder
from pipeline.clip_ids import clean_path, match_ids
from pipeline.dialects import to_numbers
from pipeline.findings import Findings, RefusedError
from pipeline.imports.clips import LabelSource
from pipeline.imports.columns import PERSON_WORDS, split_of, word_of
from pipeline.params import MADE_BY_INDEX
from pipeline.reading import check_columns, load_table, read_text_table

# The challenge's spelling and order.
HUME_TARGETS = (
    *("Adoration", "Amusement", "Anxiety", "Disgust", "Empathic-Pain", "Fear", "Surprise"),
)
_MUSE_FOLDER = "c2_muse_reaction"

Ratings = Literal["voice", "face", "both"]

CREMAD_TARGETS = ("Anger", "Disgust", "Fear", "Happy", "Sad", "Intensity")

# What raters had before them: the first digit of its rows, and the folder that holds it.
_SOURCES = {"voice": ("1", "AudioWAV"), "face": ("2", "VideoFlash"), "both": ("3", "VideoFlash")}
_VOTES = "processedResults/tabulatedVotes.csv"
_ACTORS = "VideoDemographics.csv"
_LAYOUT = f"{_ACTORS}, {_VOTES} and AudioWAV/ or VideoFlash/, as in a clone of CREMA-D"

# Options of `eri import table`: the column of the label table, and words that columns with it are
# called by, the best ones first.
_ROLES = {
    "path": ("path", "path filepath videopath filename file media image audio url videourl"),
    "id": ("clip_id", "clipid fileid videoid sampleid clip id name video sample"),
    "split": ("split", "split partition subset set usage"),
    "person": ("group", PERSON_WORDS),
}
# Numbers that are no reaction, when targets are guessed.
_NO_TARGET = (
    "age gender sex year country duration frames frame fps width height index number start end "
    "time timestamp fold seed id rater latitude longitude unnamed progress finished"
)


def read_table(
    path: Path,
    media: Path | None,
    given: Mapping[str, str | None],
    targets: Sequence[str],
    findings: Findings,
) -> LabelSource:
    """Read any table of labels beside any folder of media.

    Parameters
    ----------
    path : Path
        CSV in any usual form, or Parquet.
    media : Path or None
        The folder of the media; None is the folder of the table.
    given : mapping of str to str or None
        Which column is what, by ``id``, ``path``, ``split`` and ``person``. What is not given is
        guessed by names and by what is in the columns, and the guess is a finding.
    targets : sequence of str
        The columns with targets; without any, those that are mostly numbers.
    findings : Findings
        What is noticed is added.

    Raises
    ------
    RefusedError
        For a column that is not there or cannot be guessed, or a media folder without media.
    """
    table = read_text_table(path, findings)
    named = [name for name in (*given.values(), *targets) if name]
    check_columns(table, named, path)
    free = [str(name) for name in table if name not in named]
    columns, guessed = {}, []
    for role, (column, words) in _ROLES.items():
        chosen = given.get(role)
        if chosen is None:
            by_word = {word_of(name): name for name in reversed(free) if _fits(role, table[name])}
            chosen = next((by_word[word] for word in words.split() if word in by_word), None)
            guessed += [f"{role} = {chosen}"] if chosen else []
            free = [name for name in free if name != chosen]
        if chosen is not None:
            columns[column] = table[chosen]
    ours = {*MADE_BY_INDEX, *(column for column, _ in _ROLES.values())}
    if not targets:
        targets = [name for name in free if name not in ours and _is_target(name, table[name])]
        guessed += [f"targets = {','.join(targets)}"] if targets else []
    lacking = "" if targets else "targets: name them with --targets a,b,c"
    if not {"clip_id", "path"} & columns.keys():
        lacking = "ids or paths, another one in each row: name them with --id or --path"
    if lacking:
        why = f"no column of {path} looks like {lacking}; it has {list(table)}"
        raise RefusedError("missing columns", [path], why)
    findings.note("guessed", guessed, "name columns (--help) where that is wrong")
    further = [name for name in free if name not in targets]
    findings.note("further columns", further, "kept, but no targets: --targets names others")
    if clash := sorted(ours.intersection(targets)):
        kind = "targets whose names have another meaning here"
        raise RefusedError(kind, clash, f"rename these columns of {path}: {', '.join(clash)}")
    taken = {name: f"{name}_given" for name in further if name in ours}
    findings.note("columns whose names have another meaning here", taken, "kept as …_given")
    if media is not None and not list_media_folder(media).files:
        why = "it is no folder of videos, sounds or pictures: name one with --media"
        raise RefusedError("folders without media", [media], why)
    source = pd.DataFrame(columns).join(table[[*targets, *further]].rename(columns=taken))
    return LabelSource(source, tuple(targets), path.parent if media is None else media)


def read_hume(root: Path, findings: Findings) -> LabelSource:
    """Read ``data_info.csv`` and find the media: of the files named after a clip its video.

    Ids lose their brackets; ``file_id`` keeps them as the challenge writes them. Further columns,
    age and country, are kept.

    Raises
    ------
    RefusedError
        When the folder has another layout.
    """
    expected = "data_info.csv beside train/mp4, train/wav, likewise val and test (ABAW5)"
    _check_layout(root, ["data_info.csv"], expected)
    table = _read_labels(root / "data_info.csv", findings, ["split"])
    return LabelSource(table, HUME_TARGETS, root)


def read_muse(root: Path, findings: Findings) -> LabelSource:
    """Read ``labels.csv`` and ``partition.csv``, list the feature sets, and find media if any.

    `root` is the folder that holds ``c2_muse_reaction``, or that one. A clip of the partition
    without labels stays, unlabelled.

    Raises
    ------
    RefusedError
        When the folder has another layout.
    """
    base = root / _MUSE_FOLDER if (root / _MUSE_FOLDER).is_dir() else root
    expected = f"{_MUSE_FOLDER}/ with labels.csv, partition.csv, feats/<set>/<id>.csv (MuSe 2022)"
    _check_layout(base, ["labels.csv", "partition.csv"], expected)
    given = _read_labels(base / "labels.csv", findings, [])
    rows = read_text_table(base / "partition.csv", findings)
    ids, split = rows.iloc[:, 0], rows.iloc[:, -1]
    partition = pd.DataFrame({"clip_id": _bare_ids(ids), "split": split, "file_id": ids})
    # A program may have cut the zeros of one of them.
    ours, theirs = (table["clip_id"].dropna().unique() for table in (given, partition))
    spelt = {theirs: ours for ours, theirs in match_ids(ours, theirs).found.items()}
    partition["clip_id"] = partition["clip_id"].replace(spelt)
    outside = given.loc[~given["clip_id"].isin(partition["clip_id"]), "clip_id"]
    findings.error("labels of clips that partition.csv lacks", outside, "add their split")
    table = partition.merge(given, on="clip_id", how="left", suffixes=("_partition", ""))
    table["file_id"] = table["file_id"].fillna(table.pop("file_id_partition"))
    sets = {each.name: each for each in sorted((base / "feats").glob("*")) if each.is_dir()}
    return LabelSource(table, HUME_TARGETS, root, sets)


def read_cremad(root: Path, ratings: Ratings, findings: Findings) -> LabelSource:
    """Read the ratings of CREMA-D, its actors, and where the clips are that were rated.

    Raters chose one emotion, or neutral, and its level from 0 to 100. Each target is the mean of
    that level over all raters of a clip, divided by 100, where a rater who chose something else
    counts 0; ``Intensity`` is the level of whatever emotion a rater chose, 0 for neutral.

    Parameters
    ----------
    root : Path
        A clone of the repository, or a part of it.
    ratings : {"voice", "face", "both"}
        What raters had before them: the sound, the picture, or the video with its sound.
    findings : Findings
        Clips that are not downloaded are added; they are left out.

    Raises
    ------
    RefusedError
        When the folder has another layout, or none of the clips is downloaded.
    """
    digit, folder = _SOURCES[ratings]
    _check_layout(root, [_ACTORS, _VOTES], _LAYOUT)
    table, media = _mean_levels(root / _VOTES, digit), root / folder
    there = [path for path in list_media_folder(media).files if not is_lfs_pointer(path)]
    # One name lacks its last letter: 1040_ITH_SAD_X.wav.
    table["path"] = table["clip_id"].map({each.stem.ljust(15, "X"): each.name for each in there})
    is_there, kind = table["path"].notna(), "clips that are not downloaded"
    fetch = f"`git lfs pull --include {folder}` in {root} fetches them"
    if not is_there.any():
        raise RefusedError(kind, table["clip_id"], f"{media} holds none of the clips: {fetch}")
    findings.warn(kind, table["clip_id"][~is_there], f"left out: {fetch}")
    actors = read_text_table(root / _ACTORS, findings).rename(columns=str.lower)
    table = table[is_there].assign(group=table["clip_id"].str[:4])
    table = table.merge(actors.rename(columns={"actorid": "group"}), how="left", on="group")
    return LabelSource(table, CREMAD_TARGETS, media, slices=("sex", "age"))


def _check_layout(root: Path, names: list[str], expected: str) -> None:
    """Raise a RefusedError unless a folder has files of these names."""
    if not all((root / name).is_file() for name in names):
        found = ", ".join(sorted(each.name for each in root.glob("*"))[:8]) or "nothing"
        why = f"{root}: expected {expected}; found {found}"
        raise RefusedError("folders of another layout", [root], why)


def _fits(role: str, column: "pd.Series[str]") -> bool:
    """Whether what is in a column may be of a role."""
    cells = column.dropna()
    if role == "person":
        return True
    if role == "id":
        # Several raters have a row each; a name is rather that of a person then.
        many = column.nunique() > len(column) / 2 or word_of(str(column.name)).startswith("clip")
        return bool(column.notna().mean() > 0.5 and many)
    if role == "split":
        return bool(cells.map(split_of).notna().mean() > 0.5)
    return bool(
        cells.map(lambda cell: PurePosixPath(clean_path(cell)).suffix.lower())
        .isin(MEDIA_SUFFIXES)
        .mean()
        > 0.5
    )


def _is_target(name: str, column: "pd.Series[str]") -> bool:
    """Whether most of a column are numbers, and not of something else."""
    values, wrong = to_numbers(column)
    about = set(re.split(r"[^a-z]+", name.lower()))
    return bool(np.isfinite(values).sum() > wrong.sum() and not about & {*_NO_TARGET.split()})


def _read_labels(path: Path, findings: Findings, others: list[str]) -> pd.DataFrame:
    """Read ids, targets and `others`: names in lower case but targets, ``file_id`` at the end."""
    table = read_text_table(path, findings)
    ours = {name.lower(): name for name in HUME_TARGETS}
    table = table.rename(columns=lambda name: ours.get(name.lower(), name.lower()))
    more = ". For other columns there is `eri import table`"
    check_columns(table, ["file_id", *others, *HUME_TARGETS], path, more)
    table.insert(0, "clip_id", _bare_ids(table["file_id"]))
    return table.assign(file_id=table.pop("file_id"))


def _bare_ids(ids: "pd.Series[str]") -> "pd.Series[str]":
    """Take the brackets off ids such as ``[00000]``."""
    return ids.str.replace(r"^\[\s*(.*?)\s*\]$", r"\1", regex=True)


def _mean_levels(path: Path, digit: str) -> pd.DataFrame:
    """Return ``clip_id`` and the targets as text, of the rows whose number begins with a digit."""
    votes = load_table(path).rows()
    named = {name: f"mean{name}Resp" for name in CREMAD_TARGETS[:-1]}
    check_columns(votes, ["fileName", *"ADFHNS", *named.values()], path)
    votes = votes[votes.iloc[:, 0].str.startswith(digit)]
    n_votes = votes[[*"ADFHNS"]].astype(float)
    levels = pd.DataFrame({"clip_id": votes["fileName"]})
    for name, column in named.items():  # -1 where nobody voted so
        level = votes[column].astype(float).clip(lower=0) / 100
        levels[name] = n_votes[name[0]] * level / n_votes.sum(axis=1)
    levels["Intensity"] = levels[[*named]].sum(axis=1)
    return levels.round(4).astype("string")
