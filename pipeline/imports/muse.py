"""Hume-Reaction as MuSe 2022 distributes it: labels, partition, precomputed features."""

from pathlib import Path

import pandas as pd

from pipeline.clip_ids import match_ids
from pipeline.imports.checks import SPLIT_WORDS
from pipeline.imports.collection import (
    HUME_TARGETS,
    Collection,
    bare_ids,
    find_column,
    kept_columns,
    wrong_folder,
)
from pipeline.imports.findings import Findings, RefusedError
from pipeline.imports.matching import list_media, match_files, report_matches
from pipeline.imports.reading import read_table

LAYOUT = "c2_muse_reaction/ with labels.csv, partition.csv and feats/<set>/<id>.csv (MuSe 2022)"
_FOLDER = "c2_muse_reaction"
_HINTS = {
    f"*/{_FOLDER}": "Use {folder}",
    "data_info.csv": "This looks like ABAW5: eri import hume {folder}",
}


def read_muse(root: Path, findings: Findings) -> Collection:
    """Read ``labels.csv`` and ``partition.csv``, list the feature sets, and find media if any.

    `root` is the folder that holds ``c2_muse_reaction``, or that one. A clip of the partition
    without labels stays, unlabelled.

    Raises
    ------
    RefusedError
        When the folder has another layout.
    """
    base = root / _FOLDER if (root / _FOLDER).is_dir() else root
    labels_path, partition_path = base / "labels.csv", base / "partition.csv"
    if not (labels_path.is_file() and partition_path.is_file()):
        raise wrong_folder(base if base.is_dir() else root, LAYOUT, _HINTS)
    given = _read_labels(labels_path, findings)
    partition = _spelt_alike(_read_partition(partition_path, findings), given, findings)
    outside = given.loc[~given["clip_id"].isin(partition["clip_id"]), "clip_id"]
    findings.add("labels of clips that partition.csv lacks", "error", outside, "add their split")
    unlabelled = partition.loc[~partition["clip_id"].isin(given["clip_id"]), "clip_id"]
    findings.add("clips that labels.csv lacks", "warning", unlabelled, "kept as unlabelled")
    labels = partition.merge(given.drop(columns="file_id"), on="clip_id", how="left")
    sets = {each.name: each for each in sorted((base / "feats").glob("*")) if each.is_dir()}
    files = [file for file in list_media(root) if "feats" not in Path(file).parts]
    names = {clip: clip for clip in labels["clip_id"].dropna()}
    matches = match_files(names, files)
    report_matches(matches, names, files, findings)
    labels["path"] = [
        matches.file_of.get(clip, f"{clip}.mp4") if files else None for clip in labels["clip_id"]
    ]
    return Collection(labels, HUME_TARGETS, root, matches.sound_beside, sets)


def _read_labels(path: Path, findings: Findings) -> pd.DataFrame:
    table = read_table(path, findings)
    hint = "; for other targets there is `eri import table`"
    id_column = find_column(table, "File_ID", path)
    columns = {target: find_column(table, target, path, hint) for target in HUME_TARGETS}
    labels = pd.DataFrame({"clip_id": bare_ids(table[id_column], findings)})
    for target, column in columns.items():
        labels[target] = table[column]
    rest = kept_columns(table, [id_column, *columns.values()])
    return labels.join(rest).assign(file_id=table[id_column])


def _read_partition(path: Path, findings: Findings) -> pd.DataFrame:
    """Read ids (first column) and splits (last); the header may be missing."""
    table = read_table(path, findings)
    if len(table.columns) < 2:
        why = f"{path} has one column; expected the id first and the split last"
        raise RefusedError("missing columns", ["split"], why)
    if str(table.columns[-1]).casefold() in SPLIT_WORDS:
        first = pd.DataFrame([list(table.columns)], columns=table.columns, dtype="string")
        table = pd.concat([first, table], ignore_index=True)
        findings.add("partition.csv without a header", "note", [path.name], "its rows are all read")
    ids, split = table.iloc[:, 0], table.iloc[:, -1]
    return pd.DataFrame({"clip_id": bare_ids(ids, findings), "split": split, "file_id": ids})


def _spelt_alike(partition: pd.DataFrame, given: pd.DataFrame, findings: Findings) -> pd.DataFrame:
    """Write the ids of the partition as the labels do, such as where a program cut their zeros."""
    wanted, have = (table["clip_id"].dropna().unique() for table in (given, partition))
    found = match_ids(wanted, have).found
    other = {theirs: ours for theirs, ours in found.items() if theirs != ours}
    pairs = [f"{theirs} -> {ours}" for theirs, ours in other.items()]
    what = "ids of partition.csv spelt otherwise than in labels.csv"
    findings.add(what, "warning", pairs, "taken as the same clip, spelt as in labels.csv")
    file_ids = given.set_index("clip_id")["file_id"].to_dict()
    moved = partition["clip_id"].isin(list(other))
    partition["clip_id"] = partition["clip_id"].replace(other)
    own = partition["clip_id"].map(file_ids).astype("string")
    partition["file_id"] = partition["file_id"].mask(moved, own)
    return partition
