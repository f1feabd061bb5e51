"""Hume-Reaction in its two layouts: as the ABAW5 challenge distributes it, and MuSe 2022."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import pandas as pd

from pipeline.clip_ids import match_files, match_ids, media_rank
from pipeline.imports.collection import Collection, list_media, report_matches
from pipeline.imports.columns import SPLIT_WORDS, to_numbers
from pipeline.imports.findings import Findings, RefusedError
from pipeline.imports.reading import read_text_table

# The challenge's spelling and order.
HUME_TARGETS = (
    *("Adoration", "Amusement", "Anxiety", "Disgust", "Empathic-Pain", "Fear", "Surprise"),
)
_COUNTRIES = ("United States", "South Africa")
_RELEASED = {"Train": 15_806, "Val": 4_657, "Test": 4_604}
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

    A clip's file is its mp4, or its wav where there is only that; of several, one in the folder of
    the clip's split. Ids lose their brackets; ``file_id`` keeps them as the challenge writes them.
    Further columns, age and country, are kept.

    Raises
    ------
    RefusedError
        When the folder has another layout.
    """
    path = root / "data_info.csv"
    if not path.is_file():
        raise _wrong_folder(root, _ABAW_LAYOUT)
    labels = _read_labels(path, findings, {"split": "Split"})
    splits = labels["split"].str.casefold().map(SPLIT_WORDS).astype(object)
    split_of = dict(zip(labels["clip_id"], splits, strict=True))

    def is_elsewhere(clip: str, file: str) -> bool:
        folder = SPLIT_WORDS.get(PurePosixPath(file).parts[0].casefold())
        return folder is not None and folder != str(split_of[clip])

    def rank(clip: str, file: str) -> int:
        return media_rank(file) + 3 * is_elsewhere(clip, file)

    files = list_media(root)
    matches = match_files({clip: clip for clip in labels["clip_id"].dropna()}, files, rank)
    pairs = [
        f"{clip} -> {file}" for clip, file in matches.found.items() if is_elsewhere(clip, file)
    ]
    done = "used; the split is that of data_info.csv"
    findings.add("media in the folder of another split", "warning", pairs, done)
    sound = [clip for clip, file in matches.found.items() if media_rank(file) == 2]
    findings.add("clips with a wav but no mp4", "warning", sound, "the wav is the clip")
    report_matches(matches, bool(files), findings)
    labels["path"] = [
        matches.found.get(clip, f"{str(split).lower()}/mp4/{clip}.mp4") if files else None
        for clip, split in zip(labels["clip_id"], splits, strict=True)
    ]
    _check_release(labels, splits, findings)
    return Collection(labels, HUME_TARGETS, root, matches.beside)


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
    given = _read_labels(base / "labels.csv", findings, {})
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
    labels = partition.merge(given, on="clip_id", how="left", suffixes=("_partition", ""))
    labels["file_id"] = labels["file_id"].fillna(labels.pop("file_id_partition"))
    sets = {each.name: each for each in sorted((base / "feats").glob("*")) if each.is_dir()}
    files = [file for file in list_media(root) if "feats" not in Path(file).parts]
    matches = match_files({clip: clip for clip in labels["clip_id"].dropna()}, files)
    report_matches(matches, bool(files), findings)
    labels["path"] = [
        matches.found.get(clip, f"{clip}.mp4") if files else None for clip in labels["clip_id"]
    ]
    return Collection(labels, HUME_TARGETS, root, matches.beside, sets)


def _read_labels(path: Path, findings: Findings, columns: Mapping[str, str]) -> pd.DataFrame:
    """Read ``clip_id``, `columns` by their new names, the targets, the others and ``file_id``."""
    table = read_text_table(path, findings)
    by_name = {str(name).casefold(): str(name) for name in table}
    wanted = {"file_id": "File_ID", **columns, **{name: name for name in HUME_TARGETS}}
    missing = [name for name in wanted.values() if name.casefold() not in by_name]
    if missing:
        why = (
            f"{path} lacks the columns {missing}; it has {list(table)}. For other columns there is "
            "`eri import table`"
        )
        raise RefusedError("missing columns", missing, why)
    labels = table.rename(columns=str.lower).rename(columns={n.lower(): n for n in HUME_TARGETS})
    labels.insert(0, "clip_id", _bare_ids(labels["file_id"], findings))
    first = ["clip_id", *columns, *HUME_TARGETS]
    rest = [name for name in labels if name not in {*first, "file_id"}]
    return labels[[*first, *rest, "file_id"]]


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


def _check_release(labels: pd.DataFrame, splits: "pd.Series[str]", findings: Findings) -> None:
    """Compare with what is known of the release."""
    counts = {split: int((splits == split).sum()) for split in _RELEASED}
    differ = [f"{s}: {n} instead of {_RELEASED[s]}" for s, n in counts.items() if n != _RELEASED[s]]
    findings.add("other numbers of clips than were released", "note", differ, "taken as they are")
    values = labels[list(HUME_TARGETS)].apply(lambda column: to_numbers(column).values)
    odd = (values.max(axis=1) - 1).abs() > 1e-6  # False where a clip has no label
    what = "labelled clips whose largest label is not 1"
    done = "kept; in the release every clip is divided by its largest label"
    ids = labels["clip_id"]
    findings.add(what, "warning", ids[odd], done)
    if "age" in labels:
        age, shown = to_numbers(labels["age"]), ids + ": " + labels["age"]
        strange = age.wrong | (age.values < 0) | (age.values > 120)
        findings.add("odd ages", "warning", shown[strange], "kept as they are")
        findings.add("ages with fractions", "note", shown[~strange & (age.values % 1 > 0)], "kept")
    if "country" in labels:
        other = labels["country"].notna() & ~labels["country"].isin(_COUNTRIES)
        shown = ids + ": " + labels["country"]
        done = f"kept; the release has {' and '.join(_COUNTRIES)}"
        findings.add("other countries than were released", "note", shown[other], done)


def _wrong_folder(root: Path, expected: str) -> RefusedError:
    """Make the error for a folder of another layout."""
    if not root.is_dir():
        why = f"{root} is no folder: expected {expected}"
        return RefusedError("no such folder", [root], why)
    entries = sorted(each.name + "/" * each.is_dir() for each in root.iterdir())
    more = f" and {len(entries) - 8} more" if len(entries) > 8 else ""
    why = f"{root}: expected {expected}; found {', '.join(entries[:8]) or 'nothing'}{more}"
    for pattern, layout in _OTHERS.items():
        for found in sorted(root.glob(pattern))[:1]:
            why += f". There is {found}: eri import {layout} {found.parent}"
    return RefusedError("folders of another layout", [root], why)
