"""Hume-Reaction in its two layouts: as the ABAW5 challenge distributes it, and MuSe 2022."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from pipeline.clip_ids import match_ids, media_rank
from pipeline.imports.collection import Collection, collect, list_media
from pipeline.imports.columns import SPLIT_WORDS, LabelColumns, to_numbers
from pipeline.imports.findings import Findings, RefusedError
from pipeline.imports.reading import read_text_table

# The challenge's spelling and order.
HUME_TARGETS = (
    *("Adoration", "Amusement", "Anxiety", "Disgust", "Empathic-Pain", "Fear", "Surprise"),
)
_COLUMNS = LabelColumns(id="clip_id", split="split", targets=HUME_TARGETS)
_RELEASED = {"Train": 15_806, "Val": 4_657, "Test": 4_604}
_COUNTRIES = ("United States", "South Africa")
_MUSE_FOLDER = "c2_muse_reaction"
_ABAW_LAYOUT = "data_info.csv beside train/mp4, train/wav, likewise val and test (ABAW5)"
_MUSE_LAYOUT = f"{_MUSE_FOLDER}/ with labels.csv, partition.csv, feats/<set>/<id>.csv (MuSe 2022)"
# What may lie there or near instead, and the command for the folder that it is in.
_OTHERS = {
    "data_info.csv": "hume",
    "*/data_info.csv": "hume",
    "../data_info.csv": "hume",
    _MUSE_FOLDER: "muse",
    f"*/{_MUSE_FOLDER}": "muse",
    "partition.csv": "muse",
}


def read_hume(root: Path, findings: Findings) -> Collection:
    """Read ``data_info.csv`` and find the media.

    A clip's file is its mp4 in the folder of its split, else one of its name, a video before a
    sound. Ids lose their brackets; ``file_id`` keeps them as the challenge writes them. Further
    columns, age and country, are kept.

    Raises
    ------
    RefusedError
        When the folder has another layout.
    """
    path = root / "data_info.csv"
    if not path.is_file():
        raise _wrong_folder(root, _ABAW_LAYOUT)
    table = _read_labels(path, findings, ["Split"])
    splits = table["split"].str.casefold().map(SPLIT_WORDS).astype("string")
    table["path"] = splits.str.lower().fillna("none") + "/mp4/" + table["clip_id"] + ".mp4"
    files = list_media(root)
    collection = collect(table, replace(_COLUMNS, path="path"), root, files, findings)
    ids, paths = table["clip_id"], collection.labels["path"].astype("string").fillna("")
    folders = paths.str.split("/").str[0].str.casefold().map(SPLIT_WORDS)
    elsewhere = (folders != splits) & folders.notna()
    done = "used; the split is that of data_info.csv"
    moved = (ids + " -> " + paths)[elsewhere.fillna(False)]
    findings.add("media in the folder of another split", "warning", moved, done)
    is_sound = paths.map(media_rank) == 2
    findings.add("clips with a wav but no mp4", "warning", ids[is_sound], "the wav is the clip")
    _check_release(table, splits, findings)
    return collection


def read_muse(root: Path, findings: Findings) -> Collection:
    """Read ``labels.csv`` and ``partition.csv``, list the feature sets, and find media if any.

    `root` is the folder that holds ``c2_muse_reaction``, or that one. A clip of the partition
    without labels stays, unlabelled.

    Raises
    ------
    RefusedError
        When the folder has another layout.
    """
    base = root / _MUSE_FOLDER if (root / _MUSE_FOLDER).is_dir() else root
    if not ((base / "labels.csv").is_file() and (base / "partition.csv").is_file()):
        raise _wrong_folder(base, _MUSE_LAYOUT)
    given = _read_labels(base / "labels.csv", findings, [])
    partition = _read_partition(base / "partition.csv", findings)
    ours, theirs = (table["clip_id"].dropna().unique() for table in (given, partition))
    found = match_ids(ours, theirs).found
    spelt = {theirs: ours for ours, theirs in found.items() if theirs != ours}
    pairs = [f"{theirs} -> {ours}" for theirs, ours in spelt.items()]
    what = "ids of partition.csv spelt otherwise than in labels.csv"
    findings.add(what, "warning", pairs, "taken as the same clip, spelt as in labels.csv")
    partition["clip_id"] = partition["clip_id"].replace(spelt)
    outside = given.loc[~given["clip_id"].isin(partition["clip_id"]), "clip_id"]
    findings.add("labels of clips that partition.csv lacks", "error", outside, "add their split")
    unlabelled = partition.loc[~partition["clip_id"].isin(given["clip_id"]), "clip_id"]
    findings.add("clips that labels.csv lacks", "warning", unlabelled, "kept as unlabelled")
    table = partition.merge(given, on="clip_id", how="left", suffixes=("_partition", ""))
    table["file_id"] = table["file_id"].fillna(table.pop("file_id_partition"))
    files = [file for file in list_media(root) if "feats" not in Path(file).parts]
    sets = {each.name: each for each in sorted((base / "feats").glob("*")) if each.is_dir()}
    return replace(collect(table, _COLUMNS, root, files, findings), feature_sets=sets)


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
    table.insert(0, "clip_id", _bare_ids(table["file_id"], findings))
    return table.assign(file_id=table.pop("file_id"))


def _read_partition(path: Path, findings: Findings) -> pd.DataFrame:
    """Read ids (first column) and splits (last); the header may be missing."""
    table = read_text_table(path, findings)
    if str(table.columns[-1]).casefold() in SPLIT_WORDS:
        first = pd.DataFrame([list(table.columns)], columns=table.columns, dtype="string")
        table = pd.concat([first, table], ignore_index=True)
        findings.add("partition.csv without a header", "note", [path.name], "its rows are all read")
    ids, split = table.iloc[:, 0], table.iloc[:, -1]
    return pd.DataFrame({"clip_id": _bare_ids(ids, findings), "split": split, "file_id": ids})


def _bare_ids(ids: "pd.Series[str]", findings: Findings) -> "pd.Series[str]":
    """Take the brackets off ids such as ``[00000]``."""
    bare = ids.str.replace(r"^\[\s*(.*?)\s*\]$", r"\1", regex=True)
    done = "the brackets are taken off in clip_id and kept in file_id"
    findings.add("ids in brackets", "note", ids[(bare != ids).fillna(False)], done)
    return bare


def _check_release(table: pd.DataFrame, splits: "pd.Series[str]", findings: Findings) -> None:
    """Compare with what is known of the release."""
    counts = {split: int((splits == split).sum()) for split in _RELEASED}
    differ = [f"{s}: {n} instead of {_RELEASED[s]}" for s, n in counts.items() if n != _RELEASED[s]]
    findings.add("other numbers of clips than were released", "note", differ, "taken as they are")
    ids = table["clip_id"]
    values = table[list(HUME_TARGETS)].apply(lambda column: to_numbers(column).values)
    odd = (values.max(axis=1) - 1).abs() > 1e-6  # False where a clip has no label
    done = "kept; in the release every clip is divided by its largest label"
    findings.add("labelled clips whose largest label is not 1", "warning", ids[odd], done)
    if "age" in table:
        age, shown = to_numbers(table["age"]), ids + ": " + table["age"]
        strange = age.wrong | (age.values < 0) | (age.values > 120)
        findings.add("odd ages", "warning", shown[strange], "kept as they are")
        findings.add("ages with fractions", "note", shown[~strange & (age.values % 1 > 0)], "kept")
    if "country" in table:
        other = table["country"].notna() & ~table["country"].isin(_COUNTRIES)
        shown = ids + ": " + table["country"]
        done = f"kept; the release has {' and '.join(_COUNTRIES)}"
        findings.add("other countries than were released", "note", shown[other], done)


def _wrong_folder(root: Path, expected: str) -> RefusedError:
    """Make the error for a folder of another layout."""
    if not root.is_dir():
        return RefusedError("no such folder", [root], f"{root} is no folder: expected {expected}")
    entries = sorted(each.name + "/" * each.is_dir() for each in root.iterdir())
    more = f" and {len(entries) - 8} more" if len(entries) > 8 else ""
    why = f"{root}: expected {expected}; found {', '.join(entries[:8]) or 'nothing'}{more}"
    for pattern, layout in _OTHERS.items():
        for found in sorted(root.glob(pattern))[:1]:
            why += f". There is {found}: eri import {layout} {found.parent}"
    return RefusedError("folders of another layout", [root], why)
