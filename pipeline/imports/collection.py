"""What every layout is turned into, and the checks that folders share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from pipeline.imports.findings import Findings, RefusedError

# The challenge's spelling and order.
HUME_TARGETS = (
    "Adoration",
    "Amusement",
    "Anxiety",
    "Disgust",
    "Empathic-Pain",
    "Fear",
    "Surprise",
)


@dataclass(frozen=True)
class Collection:
    """Labelled clips as they were found, before anything is checked.

    Attributes
    ----------
    labels : DataFrame
        One row per clip, all text: ``clip_id``, ``path`` (relative to `media`; null where there is
        no media at all), ``split`` and targets as they are written there, perhaps ``group``, and
        further columns.
    targets : tuple of str
        The target columns, in order.
    media : Path
        The folder of the media.
    sound_beside : frozenset of str
        Clips whose file has a sound file of the same name beside it, which is not used.
    feature_sets : mapping of str to Path
        Folders of precomputed features by name.
    """

    labels: pd.DataFrame
    targets: tuple[str, ...]
    media: Path
    sound_beside: frozenset[str] = frozenset()
    feature_sets: Mapping[str, Path] = field(default_factory=dict)


def find_column(table: pd.DataFrame, name: str, path: Path, hint: str = "") -> str:
    """Return the column of that name, whatever its case.

    Raises
    ------
    RefusedError
        When there is none, or several.
    """
    found = [str(each) for each in table.columns if str(each).casefold() == name.casefold()]
    if len(found) != 1:
        raise RefusedError(
            "columns of one name" if found else "missing columns",
            [name],
            f"{path} has {len(found)} columns {name!r}, expected one; it has "
            f"{[str(each) for each in table.columns]}{hint}",
        )
    return found[0]


def wrong_folder(root: Path, expected: str, hints: Mapping[str, str]) -> RefusedError:
    """Make the error for a folder of another layout.

    Parameters
    ----------
    root : Path
        What was given.
    expected : str
        The layout that was expected there.
    hints : mapping of str to str
        What to say when a file that matches the pattern is there.
    """
    if not root.is_dir():
        why = f"{root} is no folder: expected {expected}"
        return RefusedError("no such folder", [root], why)
    entries = sorted(each.name + "/" * each.is_dir() for each in root.iterdir())
    more = f" and {len(entries) - 8} more" if len(entries) > 8 else ""
    found = f"found {', '.join(entries[:8]) or 'nothing'}{more}"
    advice = [
        hint.format(folder=match.parent)
        for pattern, hint in hints.items()
        for match in sorted(root.glob(pattern))[:1]
    ]
    why = ". ".join([f"{root}: expected {expected}; {found}", *advice])
    return RefusedError("folders of another layout", [root], why)


def bare_ids(ids: "pd.Series[str]", findings: Findings) -> "pd.Series[str]":
    """Take the brackets off ids such as ``[00000]``."""
    bare = ids.str.replace(r"^\[\s*(.*?)\s*\]$", r"\1", regex=True)
    findings.add(
        "ids in brackets",
        "note",
        ids[(bare != ids).fillna(False)],
        "the brackets are taken off in clip_id and kept in file_id",
    )
    return bare


def kept_columns(table: pd.DataFrame, used: Sequence[str]) -> pd.DataFrame:
    """Return the columns that have no role, their names in lower case."""
    rest = table.drop(columns=list(used))
    return rest.rename(columns=lambda name: str(name).lower())
