"""Views: the clip vectors of one encoder, or of several joined into one matrix."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.files import file_sha256
from features.store import StoreError, read_store, shards_of
from pipeline.params import Params

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


def store_sha256(folder: Path) -> str:
    """Return a SHA-256, in hex, of the shards of a feature store, in their order.

    Raises
    ------
    StoreError
        When there is no store.
    """
    digest = hashlib.sha256()
    for shard in shards_of(folder):
        digest.update(bytes.fromhex(file_sha256(shard)))
    return digest.hexdigest()


def check_store(name: str, params: Params) -> Path:
    """Return the folder of an encoder's or an imported feature store, the latter checked.

    Raises
    ------
    StoreError
        When an imported store is missing, or another one than `params.yaml` says.
    """
    folder = params.store_folder(name)
    if name not in params.stores:
        return folder
    if not folder.is_dir():
        raise StoreError(f"there is no imported feature store {folder}: import it again")
    expected, found = params.stores[name].sha256, store_sha256(folder)
    if found != expected:
        raise StoreError(
            f"the feature store {folder} is another one than params.yaml says (sha256 "
            f"{found[:12]}… instead of {expected[:12]}…): run `eri import features` again, which "
            "writes both"
        )
    return folder
