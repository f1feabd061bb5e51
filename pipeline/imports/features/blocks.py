"""What readers of feature files hand over: some rows at a time, never a whole table."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.imports.features.columns import Columns

BLOCK_VALUES = 2**21
"""Numbers in a block: 16 MiB as float64."""


class Block(NamedTuple):
    """Some rows of a file.

    Attributes
    ----------
    source : str
        The file, for messages.
    clip_id : str or None
        The clip of all rows, where the file is of one.
    ids : ndarray of str objects, shape (n_rows,), or None
        Else the clip of each row.
    times : ndarray of float64, shape (n_rows,), or None
        As the file has them; None where it has none.
    values : ndarray of float, shape (n_rows, n_columns)
        The features, NaN where empty.
    columns : Columns
        What the columns of the file were taken for; of an array, without names.
    form : str
        How the file is written, where that is not UTF-8 with commas.
    face_share : ndarray of float64, shape (n_rows,), or None
        Of a store of ours whose encoder crops to faces: the share of the clip's frames with a face.
    level : {"clip", "frame"} or None
        Of a store of ours: whether its rows are of whole clips.
    """

    source: str
    clip_id: str | None
    ids: NDArray[np.object_] | None
    times: NDArray[np.float64] | None
    values: NDArray[np.floating]
    columns: Columns
    form: str = ""
    face_share: NDArray[np.float64] | None = None
    level: str | None = None


def rows_per_block(n_columns: int) -> int:
    """Return how many rows of that width make a block."""
    return max(BLOCK_VALUES // max(n_columns, 1), 1)
