"""Other people's tables, some rows at a time: CSV in any usual form, ARFF, Parquet, arrays.

Every kind of file becomes a data frame, for labels and features alike. Cells of text stay text:
nothing but an empty cell is missing until `pipeline.dialects` reads numbers. Nothing is loaded that
could run code.
"""

import csv
import gzip
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.files import is_lfs_pointer
from features.store import METADATA_KEY, store_metadata
from pipeline.clip_ids import plain_text
from pipeline.dialects import SEPARATORS, sniff, text_rows
from pipeline.findings import Findings, RefusedError
from pipeline.settings_files import nearest

BLOCK_VALUES = 2**20
"""Cells in a block."""

LFS_ADVICE = "they stand for files that Git LFS keeps elsewhere: fetch those with `git lfs pull`"

_TEXTS = (".csv", ".tsv", ".tab", ".txt", ".csv.gz", ".tsv.gz", ".arff")
_ARRAYS = (".npy", ".npz")
ENDINGS = (*_TEXTS, ".parquet", *_ARRAYS)
"""What files are read, by the endings of their names."""

_SAMPLE_SIZE = 2**20
# Parquet keeps each column of a row group apart; of each this much is read ahead.
_READ_AHEAD_BYTES = 2**16
_PARQUET_ROWS = 1024  # of which each may hold long lists
_PICKLES = (".p", ".pkl", ".pickle", ".joblib", ".pt", ".pth")
_UNREADABLE = (ValueError, OSError, EOFError, csv.Error, pa.ArrowException)
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")


class Table(NamedTuple):
    """A table as it was found.

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

    def rows(self) -> pd.DataFrame:
        """Return all rows that are left."""
        return pd.concat([*self.blocks], ignore_index=True)


def ending_of(path: Path) -> str:
    """Return the ending that says what a file is, such as ``.csv`` and ``.csv.gz``."""
    n_endings = 2 if path.suffix.lower() == ".gz" else 1
    return "".join(path.suffixes[-n_endings:]).lower()


def load_table(path: Path, ids: Sequence[str] | None = None, *, of_one_clip: bool = False) -> Table:
    """Read a table, whose kind goes by the ending of its name.

    Parameters
    ----------
    path : Path
        CSV, perhaps compressed, ARFF, Parquet, npy or npz.
    ids : sequence of str, optional
        Those of the rows of an array.
    of_one_clip : bool
        An array then needs no ids, and may be one vector.

    Raises
    ------
    RefusedError
        When it is not there, is a pickle or of another kind, cannot be read, or has two columns of
        one name.
    """
    with _refusing(path):
        _check_kind(path)
        if (ending := ending_of(path)) in _ARRAYS:
            table = _read_array(path, ids, of_one_clip)
        elif ending == ".parquet":
            table = _read_parquet(path)
        else:
            table = _read_separated(path)
        twice = [str(name) for name, count in Counter(table.columns).items() if name and count > 1]
        if twice:
            raise ValueError(f"it has several columns {sorted(twice)[:3]}: rename all but one")
    return table._replace(blocks=_guarded(table, path))


def read_text_table(path: Path, findings: Findings) -> pd.DataFrame:
    """Read a table as text; cells are stripped, and empty ones null.

    Raises
    ------
    RefusedError
        As `load_table`; also for a table of one column or without rows.
    """
    table = load_table(path)
    names, rows = [str(name) for name in table.columns], table.rows()
    with _refusing(path):
        if len(names) < 2:
            separators = ", ".join(SEPARATORS.values())
            raise ValueError(f"no columns, separated by {separators}, but {names[0][:60]!r}")
        if rows.empty:
            raise ValueError("it has a header but no rows")
    cells: pd.DataFrame = rows.set_axis(names, axis=1).astype("string")
    cells = cells.apply(lambda column: column.str.strip())
    form = [f"{path.name}: {table.form}"] if table.form else []
    done = "read so; where that is cp1252 or latin-1, check words with letters such as é"
    findings.note("written otherwise than UTF-8 with commas", form, done)
    nameless = [f"column {n + 1}" for n, name in enumerate(names) if not name]
    findings.note("columns without a name", nameless, "left out, as numbers of rows")
    return cells.mask(cells == "").drop(columns="", errors="ignore")


def read_text(path: Path) -> str:
    """Read a file of text, in whatever encoding; raises RefusedError where that cannot be."""
    with _refusing(path), _text(path, _encoding(path)) as file:
        return str(file.read())


def check_columns(table: pd.DataFrame, names: Iterable[str], path: Path, more: str = "") -> None:
    """Raise RefusedError unless a table has each of these columns once; `more` says what else."""
    columns = [str(name) for name in table]
    if missing := [name for name in names if columns.count(name) != 1]:
        shown = f"{missing[0]!r}{nearest(missing[0], columns)}{more}"
        raise RefusedError("missing columns", missing, f"{path} has no one column {shown}")


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    try:
        yield
    except (*_UNREADABLE, zipfile.BadZipFile, zlib.error) as why:
        kind, message = "files that cannot be read", f"{path} cannot be read as a table: {why}"
        raise RefusedError(kind, [path], message) from why


def _guarded(table: Table, path: Path) -> Iterator[pd.DataFrame]:
    """Yield the blocks, or one without rows."""
    with _refusing(path):
        is_empty = True
        for block in table.blocks:
            is_empty = False
            yield block
        if is_empty:
            yield pd.DataFrame(columns=table.columns, dtype=object)


def _check_kind(path: Path) -> None:
    """Raise for what is no table, as its name and its first bytes tell."""
    if is_lfs_pointer(path):
        raise ValueError(f"Git LFS pointers are none, {LFS_ADVICE}")
    ending = ending_of(path)
    with path.open("rb") as file:
        start = file.read(8)
    if start[:1] == b"\x80" or path.suffix.lower() in _PICKLES:
        convert = f"read_pickle('{path.name}').to_parquet('{path.stem}.parquet')"
        said = "it is a pickle, and loading one runs whatever code is in it. Where you trust it"
        raise ValueError(f'{said}, convert it: python -c "import pandas; pandas.{convert}"')
    if ending not in (*_ARRAYS, ".parquet") and start.startswith(_WORKBOOKS):
        raise ValueError("it is an Excel workbook, or like one: save it there as CSV")
    if ending not in ENDINGS:
        known = ", ".join(ENDINGS)
        raise ValueError(f"it ends in {ending!r}, not one of {known}; other programs save as CSV")


def _read_parquet(path: Path) -> Table:
    # Without buffering ahead, memory holds a block and not a row group.
    file = pq.ParquetFile(path, buffer_size=_READ_AHEAD_BYTES, pre_buffer=False)
    schema, batches = file.schema_arrow, file.iter_batches(_PARQUET_ROWS)
    names = [plain_text(str(name)) for name in _with_index(schema.empty_table().to_pandas())]
    frames = (_with_index(pa.Table.from_batches([batch]).to_pandas()) for batch in batches)
    metadata = store_metadata(schema) if METADATA_KEY in (schema.metadata or {}) else None
    return Table(names, (frame.set_axis(names, axis=1) for frame in frames), metadata=metadata)


def _with_index(rows: pd.DataFrame) -> pd.DataFrame:
    """Make columns of the index that a data frame was written with: it may hold the ids."""
    if isinstance(rows.index, pd.RangeIndex):
        return rows
    unnamed = "index" if pd.api.types.is_numeric_dtype(rows.index) else "id"
    return rows.rename_axis([name or unnamed for name in rows.index.names]).reset_index()


def _read_array(path: Path, given: Sequence[str] | None, of_one_clip: bool) -> Table:
    """Read one matrix, with ids and perhaps times beside it."""
    try:
        content = np.load(path, mmap_mode="r")
        arrays = dict(content) if isinstance(content, np.lib.npyio.NpzFile) else {"": content}
    except ValueError as error:
        advice = "ids that are Python objects are not loaded: np.array(ids, dtype=str) is text"
        raise ValueError(f"{error}; {advice}") from error
    shapes = {name: array.shape for name, array in arrays.items()}
    ids = next((arrays.pop(name) for name in ("ids", "clip_id") if name in arrays), None)
    ids = ids if given is None else np.array(given)
    beside = {} if ids is None else {"ids": ids.astype(str).astype(object)}
    beside |= {name: arrays.pop(name) for name in ("time_s", "time_ms") if name in arrays}
    matrix: NDArray[Any] = next(iter(arrays.values()), np.empty(0))
    if of_one_clip and matrix.ndim == 1:
        matrix = matrix[None]
    fits = len(arrays) == 1 and matrix.ndim == 2 and matrix.dtype.kind in "fiu"
    has_ids = of_one_clip or ids is not None
    if not fits or not has_ids or {*map(len, beside.values())} - {len(matrix)}:
        expected = "one array of numbers of shape (n_rows, n_columns), an id for each row in `ids`"
        raise ValueError(f"it holds {shapes}: expected {expected} (or give --ids ids.csv)")
    size = max(BLOCK_VALUES // max(matrix.shape[1], 1), 1)

    def blocks() -> Iterator[pd.DataFrame]:
        for first in range(0, len(matrix), size):
            part = slice(first, first + size)
            columns = pd.DataFrame({name: column[part] for name, column in beside.items()})
            yield pd.concat([columns, pd.DataFrame(matrix[part])], axis=1)

    return Table([*beside, *range(matrix.shape[1])], blocks())


def _read_separated(path: Path) -> Table:
    """Read a table of text in whatever encoding; a row of another width is a ValueError."""
    encoding = _encoding(path)
    with _text(path, encoding) as file:
        separator, header, n_before = sniff(file.read(_SAMPLE_SIZE))
    width = len(header)
    form = {
        encoding: encoding != "utf-8-sig",
        SEPARATORS.get(separator, separator): separator != ",",
    }
    form[f"{n_before} rows that are no data"] = n_before > 1

    def blocks() -> Iterator[pd.DataFrame]:
        with _text(path, encoding) as file:
            rows = islice(text_rows(file, separator, is_checked=True), n_before, None)
            while part := list(islice(rows, max(BLOCK_VALUES // width, 1))):
                for line, row in part:
                    if len(row) < width or any(row[width:]):
                        said = f"line {line} has {len(row)} cells, the header {width}: {row}"[:200]
                        advice = "quote cells that hold the separator; decimal commas need "
                        raise ValueError(f"{said}; {advice}semicolons")
                cells = [row[:width] for _, row in part]
                yield pd.DataFrame(cells, columns=header, dtype=object)

    return Table(header, blocks(), ", ".join(said for said, is_odd in form.items() if is_odd))


def _text(path: Path, encoding: str) -> Any:
    opener: Callable[..., Any] = gzip.open if path.suffix.lower() == ".gz" else open
    return opener(path, "rt", encoding=encoding, newline="")


def _encoding(path: Path) -> str:
    """Tell the encoding by its mark, by its zeros, or by whether all of the file decodes."""
    with _text(path, "latin-1") as file:
        start = file.read(1024)
    if start.startswith(("\xff\xfe", "\xfe\xff")):
        return "utf-16"
    if start.count("\0") * 8 > len(start):  # as between plain letters
        return "utf-16-be" if start[0] == "\0" else "utf-16-le"
    for encoding in ("utf-8-sig", "cp1252"):
        with suppress(UnicodeDecodeError), _text(path, encoding) as file:
            while file.read(_SAMPLE_SIZE):
                pass
            return encoding
    return "latin-1"
