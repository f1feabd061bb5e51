"""Reading a Parquet column of fixed-size lists of numbers as one matrix, at the disk's speed.

Parquet stores such a column with two levels per number, which readers decode though they say
nothing: reading a store took seven times as long as `np.load` of the same matrix. Uncompressed
plain values of one page lie side by side at the end of the page, so they can be read as they are.
Source: the Parquet format specification, sections on data pages and the thrift compact protocol.
"""

import math
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.arrow import embedding_matrix, matrix_type


def read_matrix_into(
    out: NDArray[np.floating], path: Path, file: pq.ParquetFile, column: str
) -> None:
    """Read a column of fixed-size lists of floats into a matrix; nulls are an ArrowInvalid.

    Parameters
    ----------
    out : ndarray of float16 or float32, shape (n_rows, list_size)
        Contiguous; filled.
    path : Path
        The Parquet file.
    file : ParquetFile
        The same file, opened.
    column : str
        Name of the column.
    """
    index = file.schema_arrow.names.index(column)
    first = 0
    with path.open("rb", buffering=0) as raw:
        for group in range(file.num_row_groups):
            metadata = file.metadata.row_group(group)
            rows = out[first : first + metadata.num_rows]
            first += metadata.num_rows
            leaf = _leaf(metadata, column, index)
            chunk = metadata.column(leaf)
            if _has_no_nulls(file, leaf) and _is_one_plain_page(raw, chunk, rows.size):
                raw.seek(chunk.data_page_offset + chunk.total_compressed_size - rows.nbytes)
                _fill(raw, rows)
            else:  # written by another program, or with other settings
                rows[:] = embedding_matrix(file.read_row_group(group, [column])[column])


def map_matrix(path: Path, file: pq.ParquetFile, column: str) -> list[NDArray[np.floating]]:
    """Map a column of fixed-size lists of floats, a matrix per row group.

    Rows are read from disk when they are used. Row groups that another program wrote, or with other
    settings, are read at once.

    Parameters
    ----------
    path : Path
        The Parquet file.
    file : ParquetFile
        The same file, opened.
    column : str
        Name of the column.

    Returns
    -------
    list of ndarray of float16 or float32, shape (n_rows of the group, list_size)
    """
    index = file.schema_arrow.names.index(column)
    dtype, dimension = matrix_type(file.schema_arrow.field(column).type)
    groups: list[NDArray[np.floating]] = []
    with path.open("rb", buffering=0) as raw:
        for group in range(file.num_row_groups):
            metadata = file.metadata.row_group(group)
            shape = (metadata.num_rows, dimension)
            leaf = _leaf(metadata, column, index)
            chunk = metadata.column(leaf)
            if _has_no_nulls(file, leaf) and _is_one_plain_page(raw, chunk, math.prod(shape)):
                end = chunk.data_page_offset + chunk.total_compressed_size
                offset = end - math.prod(shape) * dtype.itemsize
                groups.append(np.memmap(path, dtype, "r", offset, shape))
            else:
                groups.append(embedding_matrix(file.read_row_group(group, [column])[column]))
    return groups


def _leaf(metadata: pq.RowGroupMetaData, column: str, index: int) -> int:
    """Index of the physical column; those of other columns are as many as their names."""
    paths = [metadata.column(k).path_in_schema for k in range(metadata.num_columns)]
    return next((k for k, path in enumerate(paths) if path.split(".")[0] == column), index)


def _has_no_nulls(file: pq.ParquetFile, leaf: int) -> bool:
    """Whether a column of lists can hold none, by its type: they take no place in a page."""
    levels: int = file.schema.column(leaf).max_definition_level
    return levels == 1  # one for being a list


def _is_one_plain_page(raw: FileIO, chunk: pq.ColumnChunkMetaData, n_values: int) -> bool:
    """Whether a column chunk is a single page of plain, uncompressed values."""
    is_plain = chunk.compression == "UNCOMPRESSED" and set(chunk.encodings) <= {"RLE", "PLAIN"}
    if not is_plain or chunk.has_dictionary_page or chunk.num_values != n_values:
        return False
    raw.seek(chunk.data_page_offset)
    return _n_values(raw.read(_HEADER_BYTES)) == n_values


def _n_values(header: bytes) -> int:
    """Read how many values a data page holds; 0 when its header is not understood."""
    content = iter(header)
    for _ in range(3):  # the page's type and its two sizes
        if next(content, None) != _NEXT_I32:
            return 0
        _varint(content)
    if next(content, None) not in _DATA_PAGE_HEADERS or next(content, None) != _NEXT_I32:
        return 0
    return _varint(content) >> 1  # zigzag, of a number that is not negative


_HEADER_BYTES = 64
_NEXT_I32 = 0x15  # a field header of thrift's compact protocol: one id further, a 32-bit integer
_DATA_PAGE_HEADERS = (0x2C, 0x5C)  # two or five ids further, a struct: version 1 or 2


def _varint(content: Iterator[int]) -> int:
    value = shift = 0
    for byte in content:  # seven bits each, the lowest first
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return value


def _fill(raw: FileIO, rows: NDArray[np.floating]) -> None:
    rest = memoryview(rows.view(np.uint8).data).cast("B")
    while rest:
        n = raw.readinto(rest)
        if not n:
            raise OSError("the file ends in the middle of a page")
        rest = rest[n:]
