"""Matrices as Arrow columns of fixed-size lists, and back, without copying where possible."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def embedding_array(matrix: NDArray[np.floating]) -> pa.FixedSizeListArray:
    """Wrap a float matrix (n_rows, dimension) as a fixed-size-list array without nulls."""
    values = pa.array(np.ascontiguousarray(matrix).reshape(-1))
    item = pa.field("item", values.type, nullable=False)
    return pa.FixedSizeListArray.from_arrays(values, type=pa.list_(item, matrix.shape[1]))


def matrix_type(column: pa.DataType) -> tuple[np.dtype[np.floating], int]:
    """Return the type of the numbers in a fixed-size-list column, and how wide it is.

    Raises
    ------
    ArrowInvalid
        When it is no such column, or one of other numbers.
    """
    if not (pa.types.is_fixed_size_list(column) and pa.types.is_floating(column.value_type)):
        raise pa.ArrowInvalid(f"the column embedding is {column}: expected lists of float numbers")
    return np.dtype(column.value_type.to_pandas_dtype()), column.list_size


def embedding_matrix(column: pa.ChunkedArray) -> NDArray[np.floating]:
    """Return a fixed-size-list column as a float matrix (n_rows, dimension)."""
    if column.num_chunks == 1:
        return embedding_rows(column.chunk(0))
    empty = np.empty((0, column.type.list_size), np.float32)
    return np.concatenate([embedding_rows(chunk) for chunk in column.chunks] or [empty])


def embedding_rows(array: pa.FixedSizeListArray) -> NDArray[np.floating]:
    """Return a fixed-size-list array as a float matrix (n_rows, dimension), without copying.

    Raises
    ------
    ArrowInvalid
        When it holds nulls.
    """
    values = array.flatten()
    if array.null_count or values.null_count:
        raise pa.ArrowInvalid("nulls among the numbers of an embedding: write NaN instead")
    matrix: NDArray[np.floating] = values.to_numpy(zero_copy_only=True)
    return matrix.reshape(-1, array.type.list_size)
