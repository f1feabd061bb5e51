"""Views: the clip vectors of one encoder, or of several joined into one matrix."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.store import read_store

JOIN = "+"


def view_names(encoders: Sequence[str]) -> list[str]:
    """Return the views that heads are fitted on: each encoder alone, then all joined by ``+``."""
    names = list(encoders)
    # Sorted: DVC does not see the order of keys in params.yaml, so nothing may depend on it.
    return [*names, JOIN.join(sorted(names))] if len(names) > 1 else names


def join_tables(tables: Sequence[Path], clip_ids: Sequence[str]) -> NDArray[np.float32]:
    """Join tables of clip vectors side by side.

    Parameters
    ----------
    tables : sequence of Path
        One file per encoder, in this order.
    clip_ids : sequence of str
        The rows wanted, in this order.

    Returns
    -------
    ndarray of float32, shape (n_clips, n_columns)
        A clip that a table lacks has NaN in that table's columns.

    Raises
    ------
    features.store.StoreError
        When a table is missing.
    """
    blocks = []
    for path in tables:
        store = read_store(path)
        rows = pd.Index(store.clip_id).get_indexer(pd.Index(clip_ids))
        block = store.embedding[rows].astype(np.float32, copy=False)
        block[rows < 0] = np.nan
        blocks.append(block)
    return np.concatenate(blocks, axis=1)
