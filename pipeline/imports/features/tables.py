"""Feature tables, CSV in any usual form and Parquet, block by block."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.pool import is_clip_level
from features.store import METADATA_KEY, store_metadata
from pipeline.imports.features.blocks import Block, rows_per_block
from pipeline.imports.features.columns import (
    NO_NUMBER,
    Columns,
    as_numbers,
    guess_columns,
    is_id,
)
from pipeline.imports.findings import RefusedError
from pipeline.imports.reading import sniff

# Parquet keeps each column of a row group apart; of each this much is read ahead.
_READ_AHEAD_BYTES = 2**16
_LIST_ROWS = 1024
FACE_SHARE = "face_share"


def csv_blocks(path: Path, name: str, has_ids: bool = True) -> Iterator[Block]:
    """Yield the rows of a CSV table.

    Parameters
    ----------
    path : Path
        Of any usual encoding and separator.
    name : str
        Of the file, for messages.
    has_ids : bool
        Whether a column of ids is needed.

    Raises
    ------
    RefusedError
        When it is no such table, has no column of ids or features, or holds text among numbers.
    """
    try:
        form = sniff(path)
        columns = guess_columns(form.header, name)
        with pd.read_csv(
            path,
            encoding=form.encoding,
            sep=form.separator,
            decimal=form.decimal,
            header=0,
            names=form.header,
            index_col=False,
            dtype={each: "str" for each in form.header if is_id(each)},
            # Only nothing is no id: `NA` and `null` may be clips. Numbers have more ways to lack.
            keep_default_na=False,
            na_values={each: [""] if is_id(each) else NO_NUMBER for each in form.header},
            skipinitialspace=True,
            low_memory=False,
            chunksize=rows_per_block(len(form.header)),
        ) as frames:
            frame = pd.DataFrame(columns=form.header)
            for frame in frames:
                yield _block(frame, columns, name, has_ids, str(form))
            if frame.empty:  # a clip without rows is said to be one
                yield _block(frame, columns, name, has_ids, str(form))
    except (ValueError, OSError) as error:
        raise RefusedError(
            "files that cannot be read", [name], f"{path} cannot be read as CSV: {error}"
        ) from error


def parquet_blocks(path: Path) -> Iterator[Block]:
    """Yield the rows of a Parquet table; also one with its ids in the index of a DataFrame.

    Features are a column each, or one column of lists of one length.

    Raises
    ------
    RefusedError
        As `csv_blocks`.
    """
    try:
        # Without buffering ahead, memory holds a block and not a row group.
        with pq.ParquetFile(path, buffer_size=_READ_AHEAD_BYTES, pre_buffer=False) as file:
            index = _index_columns(file.schema_arrow)
            first = [each for each in index if each in file.schema_arrow.names]
            names = [*first, *(each for each in file.schema_arrow.names if each not in first)]
            n_rows = rows_per_block(len(names))
            own = METADATA_KEY in (file.schema_arrow.metadata or {})  # a store of ours
            if own:
                names = [each for each in names if each != FACE_SHARE]
            columns = guess_columns([index.get(each, each) for each in names], path.name)
            level = _own_level(file.schema_arrow) if own else None
            *_, last = names
            lists = len(columns.features) == 1 and _is_list(file.schema_arrow.field(last).type)
            for batch in file.iter_batches(_LIST_ROWS if lists else n_rows):
                table = pa.Table.from_batches([batch]).select(names[:-1] if lists else names)
                frame = table.replace_schema_metadata(None).to_pandas().rename(columns=index)
                values = _flat(batch.column(last), path.name) if lists else None
                block = _block(frame, columns, path.name, values=values)
                share = None
                if own and FACE_SHARE in file.schema_arrow.names:
                    share = batch.column(FACE_SHARE).to_numpy(zero_copy_only=False)
                yield block._replace(face_share=share, level=level)
    except (pa.ArrowException, OSError) as error:
        raise RefusedError(
            "files that cannot be read",
            [path.name],
            f"{path} cannot be read as Parquet: {error}",
        ) from error


def _own_level(schema: pa.Schema) -> str:
    """Say whether a store of ours has rows of whole clips; a table without times has."""
    whole = is_clip_level(store_metadata(schema)) or "time_s" not in schema.names
    return "clip" if whole else "frame"


def _index_columns(schema: pa.Schema) -> dict[str, str]:
    """Return new names for the columns that were the index of a DataFrame."""
    stored: list[Any] = (schema.pandas_metadata or {}).get("index_columns", [])
    names = {}
    for each in stored:
        if isinstance(each, str):  # else a range, which is not stored
            unnamed = each.startswith("__index_level_")
            is_text = unnamed and not pa.types.is_integer(schema.field(each).type)
            names[each] = ("id" if is_text else "index") if unnamed else each
    return names


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _flat(lists: pa.Array, name: str) -> NDArray[np.float64]:
    lengths = pc.list_value_length(lists).unique().to_pylist()
    if len(lengths) != 1 or lengths[0] is None:
        why = f"{name} has lists of the lengths {lengths[:3]}: expected features of one length"
        raise RefusedError("lists of several lengths", [name], why)
    flat = pc.list_flatten(lists).to_numpy(zero_copy_only=False)
    return np.asarray(flat, np.float64).reshape(len(lists), -1)


def _block(
    frame: pd.DataFrame,
    columns: Columns,
    name: str,
    has_ids: bool = True,
    form: str = "",
    values: NDArray[np.float64] | None = None,
) -> Block:
    ids = None if columns.id is None else _ids(frame[columns.id], columns, name)
    if has_ids and ids is None:
        raise RefusedError(
            "tables without ids",
            [name],
            f"{name} has no id column among its first ones {list(frame.columns)[:3]}: expected one "
            "such as clip_id, name or File_ID. Files of one clip each are given as their folder",
        )
    times = None
    if columns.time is not None:
        times = as_numbers(frame, [columns.time], name)[:, 0]
    if values is None:
        values = as_numbers(frame, columns.features, name)
    else:  # as of an array, without names
        columns = replace(columns, features=())
    return Block(name, None, ids, times, values, columns, form)


def _ids(column: pd.Series, columns: Columns, name: str) -> Any:
    if column.isna().any():
        why = f"{name} has rows without an id in {columns.id!r}: fill it"
        raise RefusedError("tables with rows without an id", [name], why)
    return column.astype(str).str.strip().to_numpy(object)
