"""Which columns of a feature table are ids and times, by their names; and the unit of times."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.imports.findings import RefusedError

IDS = frozenset(
    {"id", "name", "clip", "clip_id", "file", "file_id", "file_name", "filename", "segment_id"}
    | {"video", "video_id", "video_name"}
)
TIMES = frozenset(
    {"time", "time_s", "time_ms", "timestamp", "timestamp_s", "timestamp_ms", "frametime", "t"}
    | {"start", "start_s", "start_ms", "start_time", "seconds", "milliseconds"}
)
OTHERS = frozenset({"", "end", "end_time", "face_id", "frame", "frame_id", "index", "split"})
NO_NUMBER = [
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
]
"""What stands in cells that lack a number."""
_MAX_STEP_S = 5.0


@dataclass(frozen=True)
class Columns:
    """What the columns of a table are.

    Attributes
    ----------
    id, time : str or None
        Columns of ids and times.
    left_out : tuple of str
        Columns that are neither these nor features.
    features : tuple of str
        The others.
    """

    id: str | None
    time: str | None
    left_out: tuple[str, ...]
    features: tuple[str, ...]


def guess_columns(names: Sequence[str], source: str) -> Columns:
    """Tell ids, times and features apart: the leading columns of known names are no features.

    Raises
    ------
    RefusedError
        For a table without a header, without a feature, or with two columns of one name.
    """
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise RefusedError(
            "files with two columns of one name",
            [source],
            f"{source} has several columns {twice[:3]}: rename all but one",
        )
    if all(_is_number(name) for name in names):
        raise RefusedError(
            "files without a header",
            [source],
            f"{source} has no header: expected the names of its columns",
        )
    found: dict[str, str] = {}
    left_out = []
    rest = list(names)
    while rest and (plain := _plain(rest[0])) in IDS | TIMES | OTHERS:
        role = "id" if plain in IDS else "time" if plain in TIMES else ""
        if role and role not in found:
            found[role] = rest[0]
        else:
            left_out.append(rest[0])
        rest = rest[1:]
    if not rest:
        raise RefusedError(
            "files without a feature column",
            [source],
            f"{source} has no feature column: it has {list(names)[:10]}",
        )
    return Columns(found.get("id"), found.get("time"), tuple(left_out), tuple(rest))


def is_id(name: str) -> bool:
    """Whether a column of this name holds ids: they are text, and keep their zeros."""
    return _plain(name) in IDS


def time_unit(name: str, steps: NDArray[np.float64]) -> str:
    """Tell the unit of times: by the column's name, or from steps too long to be seconds.

    Parameters
    ----------
    name : str
        Of the column.
    steps : ndarray of float64
        Differences between following times of a clip.

    Returns
    -------
    str
        ``ms`` or ``s``.
    """
    plain = _plain(name)
    if plain.endswith(("_ms", "milliseconds")):
        return "ms"
    if plain.endswith(("_s", "seconds")):
        return "s"
    return "ms" if len(steps) and np.median(np.abs(steps)) > _MAX_STEP_S else "s"


def as_numbers(table: pd.DataFrame, columns: Sequence[str], source: str) -> NDArray[np.float64]:
    """Return columns as numbers (n_rows, n_columns), NaN where empty.

    Raises
    ------
    RefusedError
        When a column holds text.
    """
    part = table[list(columns)]
    try:
        return np.asarray(part.to_numpy(np.float64, na_value=np.nan))
    except (TypeError, ValueError):
        for name in columns:
            numbers = pd.to_numeric(part[name], errors="coerce")
            wrong = part[name][numbers.isna() & part[name].notna()]
            if len(wrong):
                raise RefusedError(
                    "files with text among the numbers",
                    [source],
                    f"{source} has text in the column {name!r}, such as {str(wrong.iloc[0])!r}: "
                    "expected numbers; remove the column",
                ) from None
        part = part.apply(pd.to_numeric)
        return np.asarray(part.to_numpy(np.float64, na_value=np.nan))


def _plain(name: str) -> str:
    plain = re.sub(r"[\s-]+", "_", name.strip().casefold())
    return "" if plain.startswith("unnamed:") else plain


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
