"""Pooling: the rows of a clip become one vector, by statistics over parts of its time."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from features.store import FeatureStore

Rows = NDArray[np.floating]

STATISTICS: dict[str, Callable[[Rows], Rows]] = {
    "mean": lambda rows: rows.mean(axis=0),
    "std": lambda rows: rows.std(axis=0),
    "min": lambda rows: rows.min(axis=0),
    "max": lambda rows: rows.max(axis=0),
}
"""From the rows (n, dimension) of one part of a clip to one vector (dimension,)."""


class Pooling(BaseModel):
    """How rows become a clip vector.

    Attributes
    ----------
    statistics : tuple of str
        Keys of `STATISTICS`, concatenated in this order.
    parts : tuple of int
        Levels of a temporal pyramid: 1 is the whole clip, 2 its halves, 4 its quarters, and so on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    statistics: tuple[Literal["mean", "std", "min", "max"], ...] = Field(min_length=1)
    parts: tuple[PositiveInt, ...] = Field(min_length=1)


def pool_clips(store: FeatureStore, pooling: Pooling) -> tuple[NDArray[np.object_], Rows]:
    """Pool each clip of a store.

    A part in which no row falls takes the whole clip's value, so that vectors of short clips and
    of still images are as wide as all others and hold no gap.

    Parameters
    ----------
    store : FeatureStore
        Rows of one clip lie together, in the order of time.
    pooling : Pooling
        Statistics and parts.

    Returns
    -------
    clip_id : ndarray of str objects, shape (n_clips,)
        In the order of the store.
    vectors : ndarray of float32, shape (n_clips, n_parts * n_statistics * dimension)
        Level by level, part by part, statistic by statistic.
    """
    if store.time_s is None:
        raise ValueError("these are clip vectors already: expected a store with the column time_s")
    clip_id = store.clip_id
    starts = np.flatnonzero(np.r_[True, clip_id[1:] != clip_id[:-1]])
    ends = np.r_[starts[1:], len(clip_id)]
    vectors = [
        _pool_clip(store.embedding[a:b].astype(np.float32), store.time_s[a:b], pooling)
        for a, b in zip(starts, ends, strict=True)
    ]
    return clip_id[starts], np.stack(vectors).astype(np.float32)


def _pool_clip(rows: Rows, time_s: NDArray[np.float64], pooling: Pooling) -> Rows:
    statistics = [STATISTICS[name] for name in pooling.statistics]
    # Rows stand for the stretch of time up to the next one, so the last one has a length as well.
    length_s = time_s[-1] - time_s[0]
    length_s += length_s / max(len(time_s) - 1, 1)
    position = (time_s - time_s[0]) / length_s if length_s else np.zeros(len(time_s))
    vectors = []
    for n_parts in pooling.parts:
        part_of_row = np.minimum((position * n_parts).astype(int), n_parts - 1)
        for part in range(n_parts):
            chosen = rows[part_of_row == part]
            chosen = chosen if len(chosen) else rows
            vectors += [statistic(chosen) for statistic in statistics]
    return np.concatenate(vectors)
