"""Arrays of features, npy and npz, block by block; their ids beside them or in a file of ids."""

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.lib import format as npy
from numpy.typing import NDArray

from pipeline.imports.features.blocks import Block, rows_per_block
from pipeline.imports.features.columns import Columns, guess_columns
from pipeline.imports.findings import RefusedError
from pipeline.imports.reading import sniff


class _Array(NamedTuple):
    """An array in a file: what it is, and where its content follows."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    by_columns: bool
    content: IO[bytes]


def array_blocks(path: Path, ids_file: Path | None) -> Iterator[Block]:
    """Yield the rows of an array.

    An array that is stored column by column is read whole.

    Parameters
    ----------
    path : Path
        An npy file; or an npz with one matrix, perhaps ``ids`` or ``clip_id``, and ``time_s`` or
        ``time_ms``.
    ids_file : Path or None
        Text with an id in each line, or a CSV table with a column of ids.

    Raises
    ------
    RefusedError
        When it holds Python objects, or has no ids, or other than a row per id.
    """
    try:
        with ExitStack() as stack:
            yield from _blocks(path, _open(path, stack), ids_file)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise RefusedError(
            "files that cannot be read",
            [path.name],
            f"{path} cannot be read ({error}): expected plain arrays; Python objects in it are not "
            "loaded, since that runs code. Save ids as text: np.array(ids, dtype=str)",
        ) from error


def _blocks(path: Path, arrays: dict[str, _Array], ids_file: Path | None) -> Iterator[Block]:
    own = next((arrays.pop(name) for name in ("ids", "clip_id") if name in arrays), None)
    if ids_file is not None:
        ids = _read_ids(ids_file)
    elif own is not None:
        ids = _whole(own).astype(str).astype(object)
    else:
        raise RefusedError(
            "arrays without ids",
            [path.name],
            f"{path} has no ids: give --ids ids.csv, or an array `ids` or `clip_id` in an .npz",
        )
    time_name = next((name for name in arrays if name in ("time_s", "time_ms")), None)
    times = None if time_name is None else _whole(arrays.pop(time_name)).astype(np.float64)
    matrix = _matrix(path, arrays, len(ids))
    if times is not None and times.shape != ids.shape:
        raise _wrong_shape(path, f"{time_name} of shape {times.shape}", f"({len(ids)},)")
    columns = Columns("ids", time_name, (), ())
    first = 0
    for values in _by_rows(matrix):
        rows = slice(first, first := first + len(values))
        part = None if times is None else times[rows]
        yield Block(path.name, None, ids[rows], part, values, columns)


def _open(path: Path, stack: ExitStack) -> dict[str, _Array]:
    if path.suffix.lower() == ".npy":
        return {"": _header(stack.enter_context(path.open("rb")))}
    archive = stack.enter_context(zipfile.ZipFile(path))
    return {
        name.removesuffix(".npy"): _header(stack.enter_context(archive.open(name)))
        for name in archive.namelist()
    }


def _header(content: IO[bytes]) -> _Array:
    """Read what comes before an array's numbers."""
    version = npy.read_magic(content)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"version {version} of the format is for tables of mixed types")
    shape, by_columns, dtype = readers[version](content)
    if dtype.hasobject:
        raise ValueError("an array of Python objects")
    return _Array(shape, dtype, by_columns and len(shape) > 1, content)


def _matrix(path: Path, arrays: Mapping[str, _Array], n_rows: int) -> _Array:
    if len(arrays) == 1:
        (matrix,) = arrays.values()
        if len(matrix.shape) == 2 and matrix.shape[0] == n_rows and matrix.dtype.kind in "fiu":
            return matrix
    found = {name: each.shape for name, each in arrays.items()}
    raise _wrong_shape(path, str(found), f"one array of numbers of shape ({n_rows}, n_columns)")


def _wrong_shape(path: Path, found: str, expected: str) -> RefusedError:
    return RefusedError(
        "arrays of another shape",
        [path.name],
        f"{path} holds {found}: expected {expected}, a row per id; for several rows of a clip, "
        "repeat its id",
    )


def _whole(array: _Array) -> NDArray[Any]:
    n_bytes = int(np.prod(array.shape, dtype=np.int64)) * array.dtype.itemsize
    values = np.frombuffer(_read(array.content, n_bytes), array.dtype)
    return values.reshape(array.shape, order="F" if array.by_columns else "C")


def _by_rows(matrix: _Array) -> Iterator[NDArray[np.floating]]:
    n_rows, n_columns = matrix.shape
    step = rows_per_block(n_columns)
    whole = _whole(matrix) if matrix.by_columns else None
    for first in range(0, n_rows, step):
        n = min(step, n_rows - first)
        if whole is not None:
            part = whole[first : first + n]
        else:
            content = _read(matrix.content, n * n_columns * matrix.dtype.itemsize)
            part = np.frombuffer(content, matrix.dtype).reshape(n, n_columns)
        yield part if part.dtype.kind == "f" else part.astype(np.float64)


def _read(content: IO[bytes], n_bytes: int) -> bytes:
    read = content.read(n_bytes)
    if len(read) < n_bytes:
        raise EOFError("it ends before its header says: it was cut short")
    return read


def _read_ids(path: Path) -> NDArray[np.object_]:
    if not path.is_file():
        raise RefusedError("no such file or folder", [path.name], f"there is no file of ids {path}")
    form = sniff(path)
    if path.suffix.lower() in (".csv", ".tsv"):
        table = pd.read_csv(
            path,
            dtype=str,
            encoding=form.encoding,
            sep=form.separator,
            keep_default_na=False,
            index_col=False,
        )
        name = guess_columns([*map(str, table.columns), "x"], path.name).id
        ids = table[name or table.columns[0]]
    else:
        ids = pd.Series(path.read_text(encoding=form.encoding).splitlines())
    ids = ids.str.strip()
    return ids[ids != ""].to_numpy(object)
