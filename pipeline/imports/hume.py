"""Hume-Reaction in its two layouts: as the ABAW5 challenge distributes it, and MuSe 2022."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from pipeline.clip_ids import match_ids
from pipeline.imports.collection import Collection, collect, list_media
from pipeline.imports.columns import LabelColumns
from pipeline.imports.findings import Findings, RefusedError
from pipeline.imports.reading import read_text_table

# The challenge's spelling and order.
HUME_TARGETS = (
    *("Adoration", "Amusement", "Anxiety", "Disgust", "Empathic-Pain", "Fear", "Surprise"),
)
_COLUMNS = LabelColumns(id="clip_id", split="split", targets=HUME_TARGETS)
_MUSE_FOLDER = "c2_muse_reaction"


def read_hume(root: Path, findings: Findings) -> Collection:
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
    table = _read_labels(root / "data_info.csv", findings, ["Split"])
    return collect(table, _COLUMNS, root, list_media(root, findings), findings)


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
    findings.add("labels of clips that partition.csv lacks", "error", outside, "add their split")
    table = partition.merge(given, on="clip_id", how="left", suffixes=("_partition", ""))
    table["file_id"] = table["file_id"].fillna(table.pop("file_id_partition"))
    files = [file for file in list_media(root, findings) if "feats" not in Path(file).parts]
    sets = {each.name: each for each in sorted((base / "feats").glob("*")) if each.is_dir()}
    return replace(collect(table, _COLUMNS, root, files, findings), feature_sets=sets)


def _check_layout(root: Path, names: list[str], expected: str) -> None:
    """Make sure that a folder has these files."""
    if not root.is_dir():
        raise RefusedError("no such folder", [root], f"{root} is no folder: expected {expected}")
    if not all((root / name).is_file() for name in names):
        found = ", ".join(sorted(each.name for each in root.iterdir())[:8]) or "nothing"
        why = f"{root}: expected {expected}; found {found}"
        raise RefusedError("folders of another layout", [root], why)


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
