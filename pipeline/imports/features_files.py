"""Reading files of features: a folder of CSV files by clip, a table, or an array with its ids.

Nothing that could run code is loaded: pickles are refused.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.clip_ids import canonical_id
from pipeline.imports.features_columns import (
    Columns,
    FeatureImportError,
    as_numbers,
    guess_columns,
    is_id,
    time_unit,
)

_PICKLES = frozenset({".p", ".pkl", ".pickle", ".joblib", ".pt", ".pth"})
_N_SAMPLED = 20


class Rows(NamedTuple):
    """The rows of one clip.

    Attributes
    ----------
    clip_id : str
        As the file has it.
    source : str
        The file, for messages.
    time_s : ndarray of float64, shape (n_rows,), or None
        None where the file has no times.
    values : ndarray of float64, shape (n_rows, n_columns)
        As the file has them.
    columns : tuple of str
        Names of the columns; empty for an array.
    note : str
        What the columns of the file were taken for.
    """

    clip_id: str
    source: str
    time_s: NDArray[np.float64] | None
    values: NDArray[np.floating]
    columns: tuple[str, ...]
    note: str


def read_rows(path: Path, ids: Path | None = None) -> Iterator[Rows]:
    """Yield the clips of a folder or a file.

    Raises
    ------
    FeatureImportError
        For a pickle, an unknown ending, a table without ids, or content that is no numbers.
    """
    if path.is_dir():
        return _read_folder(path)
    if not path.is_file():
        raise FeatureImportError(f"there is no file or folder {path}")
    suffix = path.suffix.lower()
    with path.open("rb") as file:
        is_pickle = file.read(1) == b"\x80"
    if is_pickle or suffix in _PICKLES:
        raise FeatureImportError(
            f"{path} is a pickle: loading one runs whatever code is in it, so it is not loaded. "
            'Convert it where you trust it: python -c "import pandas; pandas.read_pickle('
            f"'{path.name}').to_parquet('{path.stem}.parquet')\""
        )
    if suffix in (".npy", ".npz"):
        return _read_array(path, ids)
    if suffix in (".csv", ".parquet"):
        return _read_table(path)
    raise FeatureImportError(
        f"{path} ends in {suffix!r}: expected a folder of <id>.csv, or a .csv, .parquet, .npy or "
        ".npz file"
    )


def files_of(path: Path) -> list[Path]:
    """List the files that are read of a folder or a file."""
    return sorted(path.rglob("*.csv")) if path.is_dir() else [path]


def _read_folder(folder: Path) -> Iterator[Rows]:
    files = files_of(folder)
    if not files:
        raise FeatureImportError(f"{folder} holds no CSV file: expected one <id>.csv per clip")
    unit = ""
    for file in files:
        name = file.relative_to(folder).as_posix()
        table = _read_csv(file)
        columns = guess_columns([str(column) for column in table.columns], name)
        values = as_numbers(table, columns.features, name)
        time_s = None
        if columns.time is not None:
            unit = unit or _unit_of_folder(files, columns.time)
            times = as_numbers(table, [columns.time], name)[:, 0]
            time_s = times / 1000 if unit == "ms" else times
        if columns.id is not None and len(table):
            said = {canonical_id(str(each)) for each in table[columns.id]}
            if said != {canonical_id(file.name)}:
                raise FeatureImportError(
                    f"{name} has rows of {sorted(said)[:3]} in the column {columns.id!r}: expected "
                    "the clip that the file is named after; give a table of many clips as a file"
                )
        yield Rows(file.stem, name, time_s, values, columns.features, _note(columns, unit))


def _unit_of_folder(files: Sequence[Path], column: str) -> str:
    steps = [
        np.diff(as_numbers(table, [column], file.name)[:, 0])
        for file in files[:_N_SAMPLED]
        if column in (table := _read_csv(file))
    ]
    return time_unit(column, np.concatenate([*steps, np.empty(0)]))


def _read_table(path: Path) -> Iterator[Rows]:
    try:
        if path.suffix.lower() == ".parquet":
            names = pq.read_schema(path).names
            table = pd.read_parquet(path)
            if set(table.columns) != set(names):  # ids in the index of a DataFrame
                table = table.reset_index()
        else:
            table = _read_csv(path)
    except (pa.ArrowException, OSError) as error:
        raise FeatureImportError(f"{path} cannot be read as Parquet: {error}") from error
    table.columns = [str(name) for name in table.columns]
    columns = guess_columns(list(table.columns), path.name)
    if columns.id is None:
        raise FeatureImportError(
            f"{path} has no id column among its first ones {list(table.columns)[:3]}: expected "
            "one such as clip_id, name or File_ID. Files of one clip each are given as their folder"
        )
    if table[columns.id].isna().any():
        raise FeatureImportError(f"{path} has rows without an id in {columns.id!r}")
    ids = table[columns.id].astype(str).to_numpy(object)
    times = None
    if columns.time is not None:
        times = as_numbers(table, [columns.time], path.name)[:, 0]
    values = as_numbers(table, columns.features, path.name)
    yield from _by_clip(path.name, ids, times, columns, values)


def _read_array(path: Path, ids_file: Path | None) -> Iterator[Rows]:
    try:
        content: Any = np.load(path, mmap_mode="r", allow_pickle=False)
        arrays = {"": content} if isinstance(content, np.ndarray) else dict(content)
    except (ValueError, OSError) as error:
        raise FeatureImportError(
            f"{path} cannot be read ({error}): expected plain arrays; Python objects in it are not "
            "loaded, since that runs code. Save ids as text: np.array(ids, dtype=str)"
        ) from error
    ids = next((arrays.pop(name) for name in ("ids", "clip_id") if name in arrays), None)
    if ids_file is not None:
        ids = _read_ids(ids_file)
    if ids is None:
        raise FeatureImportError(
            f"{path} has no ids: give --ids ids.csv, or an array `ids` or `clip_id` in an .npz"
        )
    time_name = next((name for name in arrays if name in ("time_s", "time_ms")), None)
    times = None if time_name is None else arrays.pop(time_name).astype(np.float64)
    shapes = {name: array.shape for name, array in arrays.items()}
    (values, *others) = arrays.values() or [np.empty(0)]
    if others or values.ndim != 2 or len(values) != len(ids) or values.dtype.kind not in "fiu":
        raise FeatureImportError(
            f"{path} holds {shapes}: expected one array of numbers of shape ({len(ids)}, "
            "n_columns), a row per id; for several rows of a clip, repeat its id"
        )
    if times is not None and times.shape != (len(values),):
        raise FeatureImportError(f"{path}: {time_name} has shape {times.shape}, not ({len(ids)},)")
    columns = Columns("ids", time_name, (), ())
    yield from _by_clip(path.name, ids.astype(str).astype(object), times, columns, values)


def _read_ids(path: Path) -> NDArray[np.object_]:
    if path.suffix.lower() == ".csv":
        table = _read_csv(path)
        name = guess_columns([*map(str, table.columns), "x"], path.name).id
        return table[name or table.columns[0]].astype(str).to_numpy(object)
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    return np.array([line.strip() for line in lines if line.strip()], object)


def _by_clip(
    source: str,
    ids: NDArray[np.object_],
    times: NDArray[np.float64] | None,
    columns: Columns,
    values: NDArray[np.floating],
) -> Iterator[Rows]:
    """Part rows by clip; rows of one clip lie together, unless times say how they follow."""
    codes, names = pd.factorize(ids)
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(codes[order]) > 0])
    n_rows = np.diff(starts, append=len(codes))
    if times is None:
        scattered = np.count_nonzero(np.diff(codes)) >= len(names)
        repeated = names[n_rows > 1]
        if len(repeated) and (scattered or (n_rows == 1).mean() > 0.5):
            raise FeatureImportError(
                f"{source} has ids more than once: {list(repeated[:3])}. Expected one row per "
                "clip, or a time column, or the rows of each clip together"
            )
    unit = ""
    if times is not None and columns.time is not None:
        steps = np.diff(times[order])[np.diff(codes[order]) == 0]
        unit = time_unit(columns.time, steps)
        times = times / 1000 if unit == "ms" else times
    for name, start, n in zip(names, starts, n_rows, strict=True):
        rows = order[start : start + n]
        time_s = None if times is None else times[rows]
        yield Rows(str(name), source, time_s, values[rows], columns.features, _note(columns, unit))


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        head = pd.read_csv(path, nrows=0, encoding="utf-8-sig")
        text = {name: "str" for name in head.columns if is_id(str(name))}
        return pd.read_csv(path, encoding="utf-8-sig", dtype=text, low_memory=False)
    except (ValueError, OSError) as error:
        raise FeatureImportError(f"{path} cannot be read as CSV: {error}") from error


def _note(columns: Columns, unit: str) -> str:
    time = f"{columns.time!r} in {unit}" if columns.time else "none, rows are counted"
    left_out = f"; left out: {list(columns.left_out)}" if columns.left_out else ""
    return f"id: {columns.id or 'the file name'}; time: {time}{left_out}"
