"""Matrices as Arrow columns of fixed-size lists, and back, without copying where possible."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def embedding_array(matrix: NDArray[np.floating]) -> pa.FixedSizeListArray:
    """Wrap a float matrix (n_rows, dimension) as a fixed-size-list array without nulls."""
    values = pa.array(np.ascontiguousarray(matrix).reshape(-1))
    item = pa.field("item", values.type, nullable=False)
    return pa.FixedSizeListArray.from_arrays(values, type=pa.list_(item, matrix.shape[1]))


def embedding_matrix(column: pa.ChunkedArray) -> NDArray[np.floating]:
    """Return a fixed-size-list column as a float matrix (n_rows, dimension)."""
    dimension = column.type.list_size
    chunks = [chunk.flatten().to_numpy(zero_copy_only=True) for chunk in column.chunks]
    values = chunks[0] if len(chunks) == 1 else np.concatenate(chunks or [np.empty(0, np.float32)])
    return values.reshape(-1, dimension)
