"""What the columns of other people's tables are: by their names, and by what is in them."""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.imports.findings import RefusedError

_SPLIT_WORDS = {
    "Train": "train training tr trn entrenamiento entrainement apprentissage",
    "Val": "val valid validation dev devel development validierung validacion",
    "Test": "test testing te heldout prueba",
}

PERSON_WORDS = "group person subject speaker participant actor user"
"""What columns of people are called, the best words first; perhaps with ``id`` behind."""

# Names of columns that come before the features.
_IDS = {"id", "ids", "name", "clip", "clip_id", "file", "file_id", "file_name", "filename"}
_IDS |= {"segment_id", "video", "video_id", "video_name"}
_TIMES = {"time", "time_s", "time_ms", "timestamp", "timestamp_s", "timestamp_ms", "frametime"}
_TIMES |= {"t", "start", "start_s", "start_ms", "start_time", "seconds", "milliseconds"}
_NO_FEATURES = {"", "end", "end_s", "end_ms", "end_time", "index", "split"}
# What face trackers say of each row: OpenFace, LibreFace, Py-Feat, and scripts around MediaPipe.
# In their tables these columns are no features wherever they stand.
_FLAGS = {"success", "confidence", "facescore", "face_score", "face_detected", "detected"}
_FLAGS |= {"face_confidence", "detection_confidence", "tracking_confidence"}
_FACES = {"face_id", "face", "identity", "person_id", "track_id"}
_FRAMES = {"frame", "frame_id", "frame_idx", "frame_number"}
_TRACKER_TIMES = {"frame_time_in_ms", "timestamp", "timestamp_ms"}
_OF_TRACKERS = {"facerectx", "facerecty", "facerectwidth", "facerectheight", "input", "approx_time"}
_OF_TRACKERS |= {"facial_expression"}

_LEAST_CONFIDENCE = 0.5
_MAX_STEP_S = 5.0
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "frames": 1.0}

_MARKS = "[\\s\\-\u2013\u2014_.?/#<>()*]*"
_BLANK = rf"{_MARKS}((n[/.]?a{_MARKS})+|nan|nan\(ind|null|nil|none|missing|1\.#[a-z]+\d*)?{_MARKS}"
_BLANK = rf"(?i)({_BLANK}|#[a-z0/]+[!?])"  # the latter is what Excel cannot compute
_LIKE_A_NUMBER = r"[+-]?[\d.,]*\d[\d.,]*([eE][+-]?\d+)?\s*%?"
_DECIMAL_COMMA = r"[+-]?\d*,\d+([eE][+-]?\d+)?"
_COMMAS_OF_THOUSANDS = r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?"
_POINTS_OF_THOUSANDS = r"[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d*)?"


def to_numbers(cells: Any) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Read cells (n,), text or numbers, as numbers with decimal points or commas.

    Points and commas in one column are told apart where one of them groups thousands (``1,234.5``);
    otherwise the commas are wrong. Percentages are divided by 100 where all cells are such.

    Returns
    -------
    values : ndarray of float64
        NaN where blank (empty, ``NaN``, ``NA``, ``n.a.``, ``null``, ``-``, ``#DIV/0!`` …) or wrong.
    wrong : ndarray of bool
        Where there is something that is no number.
    """
    text = pd.Series(cells, dtype="string").str.strip()
    values = _parsed(text)
    odd = np.isnan(values) & text.notna().to_numpy()
    odd[odd] = ~text[odd].str.fullmatch(_BLANK)
    if odd.any():
        # A word among the numbers says nothing of how these are written.
        filled = text.str.fullmatch(_LIKE_A_NUMBER).to_numpy(bool, na_value=False)
        values[filled] = _parsed(_with_points(text[filled]))
        odd &= np.isnan(values)
    return values, odd


class FeatureColumns(NamedTuple):
    """What the columns of a table of features are.

    Attributes
    ----------
    id, time, face : str or None
        Columns of ids, of times, and of which of several faces a row is.
    flags : list
        Columns that say by a small number that a row was not measured.
    left_out : list
        Columns that are neither these nor features.
    features : list
        The others.
    """

    id: str | None
    time: str | None
    face: str | None
    flags: list[Any]
    left_out: list[Any]
    features: list[Any]


def guess_feature_columns(names: Sequence[Any], source: Path) -> FeatureColumns:
    """Tell ids, times and features apart: the leading columns of known names are no features.

    Raises
    ------
    RefusedError
        For a table without a header or without a feature.
    """
    if isinstance(names[-1], str) and not to_numbers([*map(str, names)])[1].any():
        why = f"{source} has no header: expected the names of its columns"
        raise RefusedError("files without a header", [source], why)
    plain = {name: _plain(name) for name in names}
    leading = _IDS | _TIMES | _NO_FEATURES | _FACES | _FRAMES | _TRACKER_TIMES
    n_leading = next((k for k, name in enumerate(names) if plain[name] not in leading), len(names))
    of_tracker = not {*plain.values()}.isdisjoint(_FRAMES | _TRACKER_TIMES | {"face", "facerectx"})
    anywhere = _FLAGS | _FACES | _FRAMES | _TRACKER_TIMES | _OF_TRACKERS if of_tracker else set()
    others = [*names[:n_leading], *(name for name in names[n_leading:] if plain[name] in anywhere)]
    others += [name for name in names[-1:] if plain[name] == "class"]  # the last one of an ARFF
    features = [name for name in names if name not in others]
    if not features:
        why = f"{source} has no feature column: it has {list(names)[:10]}"
        raise RefusedError("files without a feature column", [source], why)

    def first(*kinds: set[str]) -> str | None:
        return next((name for kind in kinds for name in others if plain[name] in kind), None)

    roles = first(_IDS), first(_TIMES | _TRACKER_TIMES, _FRAMES), first(_FACES)
    flags = [name for name in others if plain[name] in _FLAGS]
    left_out = [name for name in others if name not in (*roles, *flags)]
    return FeatureColumns(*roles, flags, left_out, features)


def word_of(name: str) -> str:
    """Write a name of a column in plain letters: ``Vidéo ID`` and ``video_id`` are ``videoid``."""
    word = re.sub(r"[^a-z]", "", unicodedata.normalize("NFKD", name).lower())
    return word.removesuffix("id") if word.removesuffix("id") in PERSON_WORDS.split() else word


def split_of(text: str) -> str | None:
    """Return the split that a word means, such as ``dev`` and ``Training set``; None for none."""
    word = word_of(text)
    word = word.removesuffix("set") or word
    return next((split for split, words in _SPLIT_WORDS.items() if word in words.split()), None)


def is_id_name(name: Any) -> bool:
    """Whether a column of this name holds ids."""
    return _plain(name) in _IDS


def is_measured(flags: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether each row was measured, by its flags: at least 0.5 (of 100: 50), or true."""
    measured = np.full(len(flags), True)
    for name in flags:
        text = flags[name].astype("string").str.strip().str.lower()
        values, _ = to_numbers(text.replace({"true": "1", "yes": "1", "false": "0", "no": "0"}))
        top = 100 if np.nanmax(values, initial=0) > 1 else 1
        measured &= values >= _LEAST_CONFIDENCE * top
    return measured


def to_times(column: pd.Series) -> NDArray[np.float64]:
    """Read times: numbers in any unit, or ``0 days 00:00:01.5`` and ``00:01.5`` in seconds."""
    times, wrong = to_numbers(column)
    if wrong.any():
        text = (
            column.astype("string").str.strip().str.replace(r"^(\d+:[\d.]+)$", r"00:\1", regex=True)
        )
        seconds = pd.to_timedelta(text, errors="coerce").dt.total_seconds()
        return np.asarray(seconds, np.float64)
    return times


def time_unit(name: str, steps: NDArray[np.float64]) -> tuple[str, float]:
    """Tell the unit of times by the column's name, else by the steps' length.

    Parameters
    ----------
    name : str
        Of the column.
    steps : ndarray of float64
        Differences between following times of a clip.

    Returns
    -------
    str, float
        ``s``, ``ms``, ``us`` or ``frames``, and how many seconds it has; frames count as one.
    """
    plain, step = _plain(name), float(np.median(np.abs(steps))) if len(steps) else 0.0
    if plain in _FRAMES:
        unit = "frames"
    elif plain.endswith(("_ms", "milliseconds")):
        unit = "ms"
    elif plain.endswith(("_s", "seconds")):
        unit = "s"
    else:
        unit = next((u for u in ("s", "ms") if step * _SECONDS[u] <= _MAX_STEP_S), "us")
    return unit, _SECONDS[unit]


def feature_values(block: pd.DataFrame, source: Path) -> NDArray[np.float64]:
    """Read a block of features as (n_rows, n_columns); NaN where empty.

    Raises
    ------
    RefusedError
        For text among the numbers, and for lists of several lengths.
    """
    first: Any = block.iloc[0, 0] if len(block) else None
    if block.shape[1] == 1 and isinstance(first, np.ndarray):
        lists = list(block.iloc[:, 0])
        lengths = sorted({0 if each is None else len(each) for each in lists})
        if len(lengths) > 1:
            why = f"{source} has lists of the lengths {lengths[:3]}: expected one length"
            raise RefusedError("lists of several lengths", [source], why)
        return np.stack(lists).astype(np.float64)
    if all(kind.kind in "bfiu" for kind in block.dtypes):
        return block.to_numpy(np.float64, na_value=np.nan)
    values, wrong = to_numbers(block.to_numpy(object).ravel())
    if wrong.any():
        row, column = divmod(int(np.argmax(wrong)), block.shape[1])
        why = (
            f"{source} has text in the column {block.columns[column]!r}, such as "
            f"{str(block.iloc[row, column])!r}: expected numbers; remove the column"
        )
        raise RefusedError("files with text among the numbers", [source], why)
    return values.reshape(block.shape)


def _parsed(text: "pd.Series[str]") -> NDArray[np.float64]:
    return pd.to_numeric(text, errors="coerce").to_numpy(np.float64, na_value=np.nan, copy=True)


def _with_points(text: "pd.Series[str]") -> "pd.Series[str]":
    """Write numbers with decimal points and nothing else, where that is clear."""
    if text.str.endswith("%").all():
        return text.str.removesuffix("%").str.strip() + "e-2"
    commas, points = (text.str.contains(mark, regex=False) for mark in ",.")
    large = bool((np.abs(_parsed(text[~commas])) >= 100).any())
    of_thousands = text[commas].str.fullmatch(_COMMAS_OF_THOUSANDS).all()
    if of_thousands and (large or (text[commas].str.count("[,.]") > 1).any()):
        return text.str.replace(",", "", regex=False)
    grouped = text[points].str.fullmatch(_POINTS_OF_THOUSANDS)
    if commas.any() and grouped.all() and (commas[points].any() or not points.any()):
        text = text.str.replace(".", "", regex=False)
        return text.where(~text.str.fullmatch(_DECIMAL_COMMA), text.str.replace(",", "."))
    return text


def _plain(name: Any) -> str:
    plain = re.sub(r"[\s-]+", "_", str(name).strip().casefold())
    return "" if plain.startswith("unnamed:") else plain
