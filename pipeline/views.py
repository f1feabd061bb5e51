"""Views: the clip vectors of one encoder, or of several joined into one matrix."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.store import read_store
from pipeline.paths import POOLED

JOIN = "+"


def view_names(encoders: Sequence[str]) -> list[str]:
    """Return the views that heads are fitted on: each encoder alone, then all joined by ``+``."""
    names = list(encoders)
    # Sorted: DVC does not see the order of keys in params.yaml, so nothing may depend on it.
    return [*names, JOIN.join(sorted(names))] if len(names) > 1 else names


def load_view(view: str, clip_ids: Sequence[str], pooled: Path = POOLED) -> NDArray[np.float32]:
    """Join the clip vectors of a view's encoders.

    Parameters
    ----------
    view : str
        Encoder names joined by ``+``.
    clip_ids : sequence of str
        The rows wanted, in this order.
    pooled : Path
        The folder of the pooled tables.

    Returns
    -------
    ndarray of float32, shape (n_clips, n_columns)
        A clip that an encoder did not embed has NaN in that encoder's columns.

    Raises
    ------
    features.store.StoreError
        When an encoder's table is missing.
    """
    blocks = []
    for encoder in view.split(JOIN):
        store = read_store(pooled / f"{encoder}.parquet")
        rows = pd.Index(store.clip_id).get_indexer(pd.Index(clip_ids))
        block = store.embedding[rows].astype(np.float32)
        block[rows < 0] = np.nan
        blocks.append(block)
    return np.concatenate(blocks, axis=1)
