"""Other people's tables, some rows at a time: CSV in any usual form, Parquet, arrays.

Every kind of file becomes a `Table` of data frames, for labels and features alike. Cells of text
stay text: nothing but an empty cell is missing until `pipeline.imports.columns` reads numbers.
Nothing is loaded that could run code.
"""

import codecs
import csv
import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.store import METADATA_KEY, store_metadata
from pipeline.imports.columns import is_id_name
from pipeline.imports.findings import Findings, RefusedError

BLOCK_VALUES = 2**20
"""Cells in a block."""

_PICKLES = (".p", ".pkl", ".pickle", ".joblib", ".pt", ".pth")
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
_SAMPLE_SIZE, _SAMPLE_ROWS = 2**20, 16
# Parquet keeps each column of a row group apart; of each this much is read ahead.
_READ_AHEAD_BYTES = 2**16
_PARQUET_ROWS = 1024  # of which each may hold long lists


class Table(NamedTuple):
    """A table that is open for reading.

    Attributes
    ----------
    columns : list
        Names; numbers for the columns of an array.
    blocks : iterator of DataFrame
        Its rows in their order, to be drawn once; it raises RefusedError where they cannot be read.
    form : str
        How text is written, where that is not UTF-8 with commas.
    metadata : dict or None
        What a feature store of ours says of itself; None for any other file.
    """

    columns: list[Any]
    blocks: Iterator[pd.DataFrame]
    form: str = ""
    metadata: dict[str, Any] | None = None


def open_table(path: Path, ids: Path | None = None) -> Table:
    """Open a table, whose kind goes by the ending of its name.

    Parameters
    ----------
    path : Path
        CSV, Parquet, npy or npz.
    ids : Path, optional
        The ids of the rows of an array: text, one in each line, or a table with a column of ids.

    Raises
    ------
    RefusedError
        When there is no such file, it is a pickle or of another kind, it cannot be read, or has two
        columns of one name.
    """
    if not path.is_file():
        raise RefusedError("no such file or folder", [path], f"there is no file {path}")
    suffix = path.suffix.lower()
    with path.open("rb") as file:
        is_pickle = file.read(1) == b"\x80" or suffix in _PICKLES
    if is_pickle:
        why = (
            f"{path} is a pickle: loading one runs whatever code is in it, so it is not loaded. "
            'Convert it where you trust it: python -c "import pandas; pandas.read_pickle('
            f"'{path.name}').to_parquet('{path.stem}.parquet')\""
        )
        raise RefusedError("pickles", [path], why)
    if suffix not in _OPENERS:
        why = f"{path} ends in {suffix!r}: expected one of {', '.join(_OPENERS)}"
        raise RefusedError("files of another kind", [path], why)
    with _refusing(path):
        table = _OPENERS[suffix](path, ids)
    twice = sorted({str(name) for name in table.columns if table.columns.count(name) > 1})
    if twice:
        why = f"{path} has several columns {twice[:3]}: rename all but one"
        raise RefusedError("columns of one name", [path], why)
    return table._replace(blocks=_guarded(table.blocks, path))


def read_text_table(path: Path, findings: Findings) -> pd.DataFrame:
    """Read a whole table as text; cells are stripped, and empty ones null.

    Raises
    ------
    RefusedError
        As `open_table`; also for a table of one column or without rows.
    """
    table = open_table(path)
    names = [str(name) for name in table.columns]
    if len(names) < 2:
        why = (
            f"{path} is no table of several columns, separated by comma, semicolon or tab; it "
            f"begins with {names[0][:60]!r}"
        )
        raise RefusedError("no table", [path.name], why)
    blocks = [block.astype("string") for block in table.blocks]
    if not sum(map(len, blocks)):
        raise RefusedError("tables without rows", [path.name], f"{path} has a header but no rows")
    text: pd.DataFrame = pd.concat(blocks, ignore_index=True).set_axis(names, axis=1)
    text = text.apply(lambda cells: cells.str.strip())
    form = [f"{path.name}: {table.form}"] if table.form else []
    done = "read so; where that is latin-1, check words with letters such as é"
    findings.add("written otherwise than UTF-8 with commas", "note", form, done)
    # A column without a name is one of row numbers, as pandas writes them.
    return text.mask(text == "").drop(columns="", errors="ignore")


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, OSError, EOFError, csv.Error, pa.ArrowException, zipfile.BadZipFile) as why:
        kind, message = "files that cannot be read", f"{path} cannot be read as a table: {why}"
        raise RefusedError(kind, [path], message) from why


def _guarded(blocks: Iterator[pd.DataFrame], path: Path) -> Iterator[pd.DataFrame]:
    with _refusing(path):
        yield from blocks


def _rows_per_block(n_columns: int) -> int:
    return max(BLOCK_VALUES // max(n_columns, 1), 1)


def _open_text(path: Path, _: Path | None) -> Table:
    encoding = _encoding(path)
    with path.open(encoding=encoding, newline="") as file:
        separator, header = _header(file.read(_SAMPLE_SIZE))
    width = len(header)
    form = [] if encoding.startswith("utf-8") else [encoding]
    form += [] if separator == "," else [_SEPARATORS[separator]]

    def blocks() -> Iterator[pd.DataFrame]:
        with path.open(encoding=encoding, newline="") as file:
            rows = islice(_rows(file, separator), 1, None)
            while part := list(islice(rows, _rows_per_block(width))):
                for line, row in part:
                    if len(row) < width or any(row[width:]):
                        raise RefusedError(
                            "rows longer or shorter than the header",
                            [f"{path} line {line}"],
                            f"{path} line {line} has {len(row)} cells, its header {width}: "
                            f"{separator.join(row)[:80]!r}. Quote cells that hold the separator; "
                            "numbers with decimal commas need semicolons between them",
                        )
                cells = np.array([row[:width] for _, row in part], object)
                yield pd.DataFrame(cells, columns=header, dtype=object)

    return Table(header, blocks(), ", ".join(form))


def _encoding(path: Path) -> str:
    """Tell the encoding by its mark, or by whether all of the file is UTF-8."""
    with path.open("rb") as raw:
        start = raw.read(4)
    for mark, name in _MARKS.items():
        if start.startswith(mark):
            return name
    try:
        with path.open(encoding="utf-8") as file:
            while file.read(_SAMPLE_SIZE):
                pass
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def _header(sample: str) -> tuple[str, list[str]]:
    """Return the separator and the names of columns, of which there may be one."""

    def fit(separator: str) -> tuple[float, int]:
        with suppress(csv.Error):  # a line that is too long for one cell
            rows = islice(_rows(io.StringIO(sample, ""), separator), _SAMPLE_ROWS)
            widths = [len(row) for _, row in rows]
            if widths and widths[0] > 1:
                return widths.count(widths[0]) / len(widths), widths[0]
        return 0.0, 0

    separator = max(_SEPARATORS, key=fit)
    _, first = next(_rows(io.StringIO(sample, ""), separator), (0, []))
    header = [name.strip() for name in first]
    if not header:
        raise ValueError("there is nothing in it")
    while not header[-1]:  # separators at the end of the line name no column
        header.pop()
    return separator, header


def _rows(text: io.TextIOBase, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of the rows that are not empty."""
    reader = csv.reader(text, delimiter=separator, skipinitialspace=True)
    for row in reader:
        if any(cell.strip() for cell in row):
            yield reader.line_num, row


def _open_parquet(path: Path, _: Path | None) -> Table:
    # Without buffering ahead, memory holds a block and not a row group.
    file = pq.ParquetFile(path, buffer_size=_READ_AHEAD_BYTES, pre_buffer=False)
    schema = file.schema_arrow

    def blocks() -> Iterator[pd.DataFrame]:
        with file:
            for batch in file.iter_batches(min(_PARQUET_ROWS, BLOCK_VALUES)):
                yield _with_index(pa.Table.from_batches([batch]).to_pandas())

    metadata = store_metadata(schema) if METADATA_KEY in (schema.metadata or {}) else None
    columns = _with_index(schema.empty_table().to_pandas()).columns
    return Table(list(map(str, columns)), blocks(), metadata=metadata)


def _with_index(frame: pd.DataFrame) -> pd.DataFrame:
    """Make columns of the index that a data frame was written with: it may hold the ids."""
    if isinstance(frame.index, pd.RangeIndex):
        return frame
    unnamed = "index" if pd.api.types.is_numeric_dtype(frame.index) else "id"
    return frame.rename_axis([name or unnamed for name in frame.index.names]).reset_index()


def _open_arrays(path: Path, ids_file: Path | None) -> Table:
    """Open one matrix, with ids and perhaps times beside it."""
    advice = "ids that are Python objects are not loaded: np.array(ids, dtype=str) is text"
    try:
        content = np.load(path, mmap_mode="r")  # of an .npy, memory holds what is looked at
        arrays = dict(content) if isinstance(content, np.lib.npyio.NpzFile) else {"": content}
    except ValueError as error:
        raise ValueError(f"{error}; {advice}") from error
    ids = next((arrays.pop(name) for name in ("ids", "clip_id") if name in arrays), None)
    if ids_file is not None:
        ids = np.array(_read_ids(ids_file))
    if ids is None:
        why = f"{path} has no ids: give --ids ids.csv, or an array `ids` or `clip_id` in an .npz"
        raise RefusedError("arrays without ids", [path], why)
    beside = {"ids": ids.astype(str).astype(object)}
    beside |= {name: arrays.pop(name) for name in ("time_s", "time_ms") if name in arrays}
    matrix: NDArray[Any] = next(iter(arrays.values()), np.empty(0))
    is_matrix = matrix.ndim == 2 and matrix.dtype.kind in "fiu"
    if len(arrays) != 1 or not is_matrix or {*map(len, beside.values())} != {len(matrix)}:
        raise RefusedError(
            "arrays of another shape",
            [path],
            f"{path} holds {[each.shape for each in arrays.values()]}: expected one array of "
            f"numbers of shape ({len(ids)}, n_columns), a row per id; where a clip has several, "
            "also `time_s` or `time_ms`",
        )
    n_columns = matrix.shape[1]
    size = _rows_per_block(n_columns)

    def blocks() -> Iterator[pd.DataFrame]:
        for first in range(0, len(matrix), size):
            rows = slice(first, first + size)
            columns = pd.DataFrame({name: column[rows] for name, column in beside.items()})
            yield pd.concat([columns, pd.DataFrame(matrix[rows])], axis=1)

    return Table([*beside, *range(n_columns)], blocks())


def _read_ids(path: Path) -> list[str]:
    """Read the column of ids of a table; or the lines of a text, where the first one is an id."""
    table = open_table(path)
    name = next(filter(is_id_name, table.columns), table.columns[0])
    first = [] if is_id_name(name) else [name]
    return [*first, *(str(cell).strip() for block in table.blocks for cell in block[name])]


_OPENERS: dict[str, Callable[[Path, Path | None], Table]] = {
    **dict.fromkeys([".csv", ".tsv", ".tab", ".txt"], _open_text),
    ".parquet": _open_parquet,
    **dict.fromkeys([".npy", ".npz"], _open_arrays),
}
