"""What the columns of other people's tables are: by their names, and by what is in them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.media.endings import MEDIA_SUFFIXES
from pipeline.imports.findings import RefusedError
from pipeline.labels import MADE_BY_INDEX

SPLIT_WORDS = {
    **dict.fromkeys(["train", "training", "tr"], "Train"),
    **dict.fromkeys(["val", "valid", "validation", "dev", "devel", "development"], "Val"),
    **dict.fromkeys(["test", "testing", "te"], "Test"),
}

# Roles in a label table, and the names that columns of them have, the best ones first.
_LABEL_ROLES = {
    "path": ["path", "filepath", "videopath", "filename", "file", "media", "image", "audio"],
    "id": ["clipid", "fileid", "videoid", "sampleid", "clip", "id", "name", "video", "sample"],
    "split": ["split", "partition", "subset", "set", "usage"],
    "person": ["group", "person", "subject", "speaker", "participant", "actor", "user"],
}
# Numbers that are no reaction, when targets are guessed.
_NO_TARGET = MADE_BY_INDEX | {"age", "gender", "sex", "year", "duration", "frames", "fps", "fold"}
_NO_TARGET |= {"width", "height", "index", "start", "end", "number", "country", "seed"}

# Names of columns that come before the features.
_IDS = {"id", "ids", "name", "clip", "clip_id", "file", "file_id", "file_name", "filename"}
_IDS |= {"segment_id", "video", "video_id", "video_name"}
_TIMES = {"time", "time_s", "time_ms", "timestamp", "timestamp_s", "timestamp_ms", "frametime"}
_TIMES |= {"t", "start", "start_s", "start_ms", "start_time", "seconds", "milliseconds"}
_NO_FEATURES = {"", "end", "end_time", "face_id", "frame", "frame_id", "index", "split"}
_MAX_STEP_S = 5.0

_BLANK = ["", "na", "n/a", "nan", "null", "none", "-", "?", "#n/a", "#na", "<na>", "#n/a n/a"]
_BLANK += ["1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"]
_DECIMAL_COMMA = r"^[+-]?\d*,\d+(?:[eE][+-]?\d+)?$"


def to_numbers(cells: Any) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Read cells (n,), text or numbers, as numbers with decimal points or commas.

    Points and commas in one column are told apart by nothing: the commas are then wrong.

    Returns
    -------
    values : ndarray of float64
        NaN where blank (empty, ``NaN``, ``NA``, ``null``, ``none``, ``-``, ``?`` …) or no number.
    wrong : ndarray of bool
        Where there is something that is no number.
    """
    text = pd.Series(cells, dtype="string").str.strip()
    text = text.mask(text.str.lower().isin(_BLANK))
    commas = text.str.match(_DECIMAL_COMMA).any()
    if commas and not text.str.contains(".", regex=False).any():
        text = text.str.replace(",", ".", regex=False)
    values = pd.to_numeric(text, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    return values, np.isnan(values) & text.notna().to_numpy()


@dataclass(frozen=True)
class LabelColumns:
    """Which column of a label table is what; None is to be guessed, as are no `targets`."""

    id: str | None = None
    path: str | None = None
    split: str | None = None
    person: str | None = None
    targets: tuple[str, ...] = ()

    def named(self) -> list[str]:
        """Return the columns that have a role."""
        roles = (self.id, self.path, self.split, self.person, *self.targets)
        return [name for name in roles if name is not None]


def guess_label_columns(table: pd.DataFrame, given: LabelColumns) -> LabelColumns:
    """Guess the roles that are not given, by names and by what is in a table of text.

    None, or no targets, are left where nothing fits.
    """
    free = [str(name) for name in table if name not in given.named()]
    chosen = {}
    for role, words in _LABEL_ROLES.items():
        chosen[role] = getattr(given, role)
        if chosen[role] is None:
            by_word = {_word(name): name for name in reversed(free) if _fits(role, table[name])}
            chosen[role] = next((by_word[word] for word in words if word in by_word), None)
            free = [name for name in free if name != chosen[role]]
    targets = given.targets or tuple(name for name in free if _is_target(name, table[name]))
    return LabelColumns(**chosen, targets=targets)


class FeatureColumns(NamedTuple):
    """What the columns of a table of features are.

    Attributes
    ----------
    id, time : str or None
        Columns of ids and times.
    left_out : list
        Columns that are neither these nor features.
    features : list
        The others.
    """

    id: str | None
    time: str | None
    left_out: list[Any]
    features: list[Any]


def guess_feature_columns(names: Sequence[Any], source: Path) -> FeatureColumns:
    """Tell ids, times and features apart: the leading columns of known names are no features.

    Raises
    ------
    RefusedError
        For a table without a header or without a feature.
    """
    if not to_numbers(list(map(str, names)))[1].any():
        why = f"{source} has no header: expected the names of its columns"
        raise RefusedError("files without a header", [source], why)
    found: dict[str, str] = {}
    left_out, rest = [], list(names)
    while rest and (plain := _plain(rest[0])) in _IDS | _TIMES | _NO_FEATURES:
        role = "id" if plain in _IDS else "time"
        if plain in _NO_FEATURES or role in found:
            left_out.append(rest.pop(0))
        else:
            found[role] = rest.pop(0)
    if not rest:
        why = f"{source} has no feature column: it has {list(names)[:10]}"
        raise RefusedError("files without a feature column", [source], why)
    return FeatureColumns(found.get("id"), found.get("time"), left_out, rest)


def is_id_name(name: Any) -> bool:
    """Whether a column of this name holds ids."""
    return _plain(name) in _IDS


def time_unit(name: str, steps: NDArray[np.float64]) -> str:
    """Tell whether times are in ``s`` or ``ms``: by the column's name, else by the steps' length.

    Parameters
    ----------
    name : str
        Of the column.
    steps : ndarray of float64
        Differences between following times of a clip.
    """
    plain = _plain(name)
    if plain.endswith(("_ms", "milliseconds")):
        return "ms"
    if plain.endswith(("_s", "seconds")):
        return "s"
    return "ms" if len(steps) and np.median(np.abs(steps)) > _MAX_STEP_S else "s"


def feature_values(block: pd.DataFrame, source: Path) -> NDArray[np.float64]:
    """Read a block of features as (n_rows, n_columns); NaN where empty.

    Parameters
    ----------
    block : DataFrame
        A column for each feature, or one column of lists of one length.
    source : Path
        The file, for messages.

    Raises
    ------
    RefusedError
        When a cell is text, or lists have several lengths.
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
    cells = block.to_numpy(object).ravel()
    values, wrong = to_numbers(cells)
    if wrong.any():
        row, column = divmod(int(np.argmax(wrong)), block.shape[1])
        raise RefusedError(
            "files with text among the numbers",
            [source],
            f"{source} has text in the column {block.columns[column]!r}, such as "
            f"{str(block.iloc[row, column])!r}: expected numbers; remove the column",
        )
    return values.reshape(block.shape)


def _fits(role: str, column: "pd.Series[str]") -> bool:
    filled = column.dropna()
    if role == "person":
        return True
    if role == "id":
        return bool(column.notna().all() and (column.nunique() > len(column) / 2))
    if role == "split":
        known = filled.str.casefold().isin(list(SPLIT_WORDS))
    else:
        known = filled.map(lambda cell: PurePosixPath(cell).suffix.lower()).isin(MEDIA_SUFFIXES)
    return bool(len(filled)) and bool(known.mean() > 0.5)


def _is_target(name: str, column: "pd.Series[str]") -> bool:
    """Whether a column is of numbers and not about something else."""
    values, wrong = to_numbers(column)
    about = set(re.split(r"[^a-z]+", name.lower()))
    return not (np.isnan(values).all() or wrong.any() or about & _NO_TARGET)


def _word(name: str) -> str:
    word = re.sub(r"[^a-z]", "", name.lower())
    return word.removesuffix("id") if word.removesuffix("id") in _LABEL_ROLES["person"] else word


def _plain(name: Any) -> str:
    plain = re.sub(r"[\s-]+", "_", str(name).strip().casefold())
    return "" if plain.startswith("unnamed:") else plain
