"""Where labels are and how they are laid out: any table, and Hume-Reaction in its two layouts."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from features.media.endings import MEDIA_SUFFIXES, list_media_folder
from pipeline.clip_ids import match_ids
from pipeline.imports.clips import LabelSource
from pipeline.imports.columns import LabelColumns, guess_label_columns
from pipeline.imports.findings import Findings, RefusedError
from pipeline.imports.reading import read_text_table
from pipeline.labels import SPLITS
from pipeline.settings_files import nearest

# The challenge's spelling and order.
HUME_TARGETS = (
    *("Adoration", "Amusement", "Anxiety", "Disgust", "Empathic-Pain", "Fear", "Surprise"),
)
_HUME_COLUMNS = LabelColumns(id="clip_id", split="split", targets=HUME_TARGETS)
_MUSE_FOLDER = "c2_muse_reaction"


def read_table(
    path: Path,
    media: Path | None,
    given: LabelColumns,
    shares: Sequence[float] | None,
    seed: int,
    findings: Findings,
) -> LabelSource:
    """Read any table of labels beside any folder of media.

    Parameters
    ----------
    path : Path
        CSV in any usual form, or Parquet.
    media : Path or None
        The folder of the media; None is the folder of the table.
    given : LabelColumns
        What is known of the columns; the others are guessed, and the guess is a finding.
    shares : sequence of float or None
        Shares of Train, Val and Test: draw new splits by person. A column with splits is then
        not used.
    seed : int
        Of that draw.
    findings : Findings
        What is noticed is added.

    Raises
    ------
    RefusedError
        For a column that is not there or cannot be guessed, or a media folder without media.
    """
    table = read_text_table(path, findings)
    unknown = [name for name in given.named() if name not in table]
    if unknown:
        why = f"{path} has no column {unknown[0]!r}{nearest(unknown[0], list(map(str, table)))}"
        raise RefusedError("missing columns", unknown, why)
    columns = guess_label_columns(table, given)
    if shares is not None:
        columns = replace(columns, split=None)
    lacking = []
    if not (columns.id or columns.path):
        lacking.append("an id or a path: name one with --id or --path")
    if not (columns.split or shares):
        how = "name it with --split, or draw splits with --split-by-person"
        lacking.append(f"train, val or test: {how}")
    if not columns.targets:
        lacking.append("a target: name them with --targets a,b,c")
    if lacking:
        why = f"no column of {path} looks like {lacking[0]}; it has {list(table)}"
        raise RefusedError("missing columns", [path], why)
    done = "name them by --id, --path, --split, --person or --targets where that is wrong"
    for role in ("path", "id", "split", "person", "targets"):
        found = getattr(columns, role)
        if found and not getattr(given, role):
            shown = found if role != "targets" else ",".join(found)
            findings.add("guessed", "note", [f"{role} = {shown}"], done)
    further = [name for name in table if name not in columns.named()]
    done = "kept, but no targets, by their names or for they are of text; --targets names others"
    findings.add("further columns", "note", further, done)
    if shares is not None:
        alone = "clip:" + table[columns.id or columns.path]
        people = table[columns.person].fillna(alone) if columns.person else alone
        table["split"] = split_by_person(people, shares, seed)
        columns = replace(columns, split="split")
    if media is not None and not list_media_folder(media).files:
        what = "has no media files" if media.is_dir() else "is no folder"
        why = f"{media} {what}: expected some of {sorted(MEDIA_SUFFIXES)} in it"
        raise RefusedError("folders without media", [media], why)
    return LabelSource(table, columns, path.parent if media is None else media)


def split_by_person(people: "pd.Series[str]", shares: Sequence[float], seed: int) -> list[str]:
    """Draw a split for every clip, all clips of a person the same.

    People are shuffled; each goes to the split that lacks most of its share of the clips, and the
    splits that have nobody yet come first when people run out. The result depends on the people,
    their numbers of clips and the seed, not on the order of the rows.

    Parameters
    ----------
    people : Series of str
        The person of each clip.
    shares : sequence of float
        Shares of the clips for Train, Val and Test; they sum to 1.
    seed : int
        Of the shuffle.

    Raises
    ------
    RefusedError
        When the shares are none, or there are fewer people than splits.
    """
    wanted = np.array(shares, float)
    if len(wanted) != len(SPLITS) or (wanted < 0).any() or not np.isclose(wanted.sum(), 1):
        why = "expected three shares for Train, Val and Test that sum to 1, such as 0.7,0.15,0.15"
        raise RefusedError("shares that are none", list(shares), f"{why}; got {list(shares)}")
    sizes = people.value_counts().sort_index()
    n_splits = np.count_nonzero(wanted)
    if len(sizes) < n_splits:
        why = f"{len(sizes)} people cannot be in {n_splits} splits: name fewer splits"
        raise RefusedError("too few people", sizes.index, why)
    order = np.random.default_rng(seed).permutation(len(sizes))
    filled = np.zeros(len(SPLITS))
    split_of = {}
    for n_done, person in enumerate(order):
        empty = (filled == 0) & (wanted > 0)
        may = empty if len(order) - n_done <= empty.sum() else wanted > 0
        split = int(np.argmax(np.where(may, wanted * len(people) - filled, -np.inf)))
        filled[split] += sizes.iloc[person]
        split_of[sizes.index[person]] = SPLITS[split]
    return [split_of[person] for person in people]


def check_layout(root: Path, names: list[str], expected: str) -> None:
    """Make sure that a folder has files of these names.

    Raises
    ------
    RefusedError
        When it has not: it says what was expected, and what is there.
    """
    if not root.is_dir():
        raise RefusedError("no such folder", [root], f"{root} is no folder: expected {expected}")
    if not all((root / name).is_file() for name in names):
        found = ", ".join(sorted(each.name for each in root.iterdir())[:8]) or "nothing"
        why = f"{root}: expected {expected}; found {found}"
        raise RefusedError("folders of another layout", [root], why)


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
    check_layout(root, ["data_info.csv"], expected)
    table = _read_labels(root / "data_info.csv", findings, ["Split"])
    return LabelSource(table, _HUME_COLUMNS, root)


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
    check_layout(base, ["labels.csv", "partition.csv"], expected)
    given = _read_labels(base / "labels.csv", findings, [])
    rows = read_text_table(base / "partition.csv", findings)
    ids, split = rows.iloc[:, 0], rows.iloc[:, -1]
    partition = pd.DataFrame({"clip_id": _bare_ids(ids), "split": split, "file_id": ids})
    # A program may have cut the zeros of one of them.
    ours, theirs = (table["clip_id"].dropna().unique() for table in (given, partition))
    spelt = {theirs: ours for ours, theirs in match_ids(ours, theirs).found.items()}
    partition["clip_id"] = partition["clip_id"].replace(spelt)
    outside = given.loc[~given["clip_id"].isin(partition["clip_id"]), "clip_id"]
    findings.add("labels of clips that partition.csv lacks", "error", outside, "add their split")
    table = partition.merge(given, on="clip_id", how="left", suffixes=("_partition", ""))
    table["file_id"] = table["file_id"].fillna(table.pop("file_id_partition"))
    sets = {each.name: each for each in sorted((base / "feats").glob("*")) if each.is_dir()}
    return LabelSource(table, _HUME_COLUMNS, root, sets)


def _read_labels(path: Path, findings: Findings, others: list[str]) -> pd.DataFrame:
    """Read ids, targets and `others`: names in lower case but targets, ``file_id`` at the end."""
    table = read_text_table(path, findings)
    lower = [str(name).lower() for name in table]
    missing = [n for n in ("File_ID", *others, *HUME_TARGETS) if lower.count(n.lower()) != 1]
    if missing:
        why = (
            f"{path} should have each of the columns {missing} once; it has {list(table)}. For "
            "other columns there is `eri import table`"
        )
        raise RefusedError("missing columns", missing, why)
    table = table.set_axis(lower, axis=1).rename(columns={n.lower(): n for n in HUME_TARGETS})
    table.insert(0, "clip_id", _bare_ids(table["file_id"]))
    return table.assign(file_id=table.pop("file_id"))


def _bare_ids(ids: "pd.Series[str]") -> "pd.Series[str]":
    """Take the brackets off ids such as ``[00000]``."""
    return ids.str.replace(r"^\[\s*(.*?)\s*\]$", r"\1", regex=True)
