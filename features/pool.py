"""Pooling: the rows of a clip become one vector, by statistics over parts of its time.

Statistics are functionals in the sense of openSMILE (Eyben, Wöllmer and Schuller 2010): moments,
extremes, quantiles and a regression line of one column at a time. Parts form a pyramid along time,
as Lazebnik, Schmid and Ponce (2006) laid one over the image: coarse levels say what was there, fine
ones when. Pooling reads a feature store and nothing else, so trying another one costs no embedding.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from features.store import FeatureStore, StoreError, read_store, shards_of

Vectors = NDArray[np.float32]
Rows = NDArray[np.floating]

PARTS: dict[str, int] = {"whole": 1, "halves": 2, "quarters": 4, "eighths": 8}
"""Levels of the temporal pyramid, and into how many parts each cuts a clip."""

_MANY_ROWS = 1000  # in single precision, the mean of a million rows of .1 is .10096


@dataclass(frozen=True)
class Part:
    """A part of a clip: rows (n_rows, dimension), one or more and no NaN, and when they are.

    They are float32, of a long clip float64; times are clip time, ascending.
    """

    rows: Rows
    time_s: NDArray[np.float64]

    @cached_property
    def ordered(self) -> Rows:
        """Every column in ascending order of its values, once for all quantiles."""
        return np.sort(self.rows, axis=0)

    def quantile(self, share: float) -> Rows:
        """Quantile between 0 and 1 of each column, linear between the two nearest rows."""
        last = len(self.rows) - 1
        below = int(share * last)
        low, high = self.ordered[below], self.ordered[min(below + 1, last)]
        return np.asarray(low + np.float32(share * last - below) * (high - low))

    def slope(self) -> Rows:
        """Least-squares slope in units per second; 0 where all rows are of one time."""
        # Counted from the first row: equal times then differ by exactly nothing from their mean.
        since_s = self.time_s - self.time_s[0]
        since_s -= since_s.mean()
        weights = (since_s / (np.square(since_s).sum() or 1)).astype(np.float32)
        return np.asarray((weights[:, None] * (self.rows - self.rows.mean(axis=0))).sum(axis=0))


STATISTICS: dict[str, Callable[[Part], Rows]] = {
    "mean": lambda part: part.rows.mean(axis=0),
    "std": lambda part: part.rows.std(axis=0),
    "min": lambda part: part.rows.min(axis=0),
    "max": lambda part: part.rows.max(axis=0),
    "q10": lambda part: part.quantile(0.10),
    "q25": lambda part: part.quantile(0.25),
    "median": lambda part: part.quantile(0.50),
    "q75": lambda part: part.quantile(0.75),
    "q90": lambda part: part.quantile(0.90),
    "slope": lambda part: part.slope(),
}
"""From a part of a clip to one number per column, shape (dimension,).

A further statistic is one function and one entry here; it never meets NaN.
"""


class Pooling(BaseModel):
    """How rows become a clip vector.

    Attributes
    ----------
    statistics : tuple of str
        Keys of `STATISTICS`, concatenated in this order. `slope` is in units per second.
    parts : tuple of str
        Keys of `PARTS`, the levels of a temporal pyramid. All four make 15 parts.
    track : {"longest", "each"}
        Of a store that tells several people apart: the one who is seen longest, or each, pooled
        alone; the clip's vector is then the mean of theirs, in which all count alike.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    statistics: tuple[str, ...] = Field(min_length=1)
    parts: tuple[str, ...] = Field(min_length=1)
    track: Literal["longest", "each"] = "longest"

    @field_validator("statistics", "parts")
    @classmethod
    def _are_known_and_differ(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        is_statistic = info.field_name == "statistics"
        what, known = ("statistic", STATISTICS) if is_statistic else ("part", PARTS)
        for number, name in enumerate(names):
            if name not in known:
                raise ValueError(f"unknown {what} {name!r}: expected one of {', '.join(known)}")
            if name in names[:number]:
                raise ValueError(f"the {what} {name!r} is given more than once")
        return names


def pool_clips(store: FeatureStore, pooling: Pooling) -> tuple[NDArray[np.object_], Vectors]:
    """Pool each clip of a store.

    NaN entries are left out, column by column. Where a part has no value, be it that no row falls
    into it, it takes the whole clip's: vectors of short clips and of still images are as wide as
    all others, and NaN only where the whole clip has no value. A clip's vector does not depend on
    which other clips are in the store. Rows of a store that `is_clip_level` are the vectors.

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

    A table of clip vectors, rows in another order and times that are none are a StoreError.

    Examples
    --------
    Two clips of one number per frame, with one and two frames per second:

    >>> clip_id = np.array(["calm", "calm", "rising", "rising", "rising"], object)
    >>> time_s = np.array([0.0, 1.0, 0.0, 0.5, 1.0])
    >>> embedding = np.array([[2], [2], [1], [2], [3]], np.float16)
    >>> store = FeatureStore(clip_id, time_s, embedding, metadata={})
    >>> ids, vectors = pool_clips(store, Pooling(statistics=("mean", "slope"), parts=("whole",)))
    >>> dict(zip(ids.tolist(), vectors.tolist()))
    {'calm': [2.0, 0.0], 'rising': [2.0, 2.0]}
    """
    if store.time_s is None:
        raise StoreError("these are clip vectors already: expected a store with the column time_s")
    starts = store.clip_starts()
    _check_order(store.clip_id, store.time_s)
    _check_once(store.clip_id[starts])
    if is_clip_level(store.metadata):
        if len(starts) < len(store.clip_id):
            raise StoreError("a store of the level clip has clips with several rows")
        return store.clip_id, store.embedding.astype(np.float32, copy=False)
    n_parts = sum(PARTS[level] for level in pooling.parts)
    shape = len(starts), n_parts, len(pooling.statistics), store.embedding.shape[1]
    vectors = np.empty(shape, np.float32)
    with np.errstate(invalid="ignore", over="ignore"):  # infinities pass through
        for vector, (_, clip) in zip(vectors, store.clips(), strict=True):
            precision = np.float64 if len(clip.values) > _MANY_ROWS else np.float32
            rows = clip.values.astype(precision, copy=False)
            track = np.zeros(len(rows)) if clip.track is None else clip.track
            people = np.unique(track)[: 1 if pooling.track == "longest" else None]
            alone = (_pool(rows[track == k], clip.time_s[track == k], pooling) for k in people)
            vector[:] = np.mean([*alone], axis=0)
    vectors += 0.0  # the sign of a zero hangs on the order of comparisons: make it positive
    return store.clip_id[starts], vectors.reshape(len(starts), math.prod(shape[1:]))


def pool_store(path: Path | str, pooling: Pooling) -> FeatureStore:
    """Pool the clips of a store on disk as `pool_clips`; memory holds one shard of it at a time.

    The clips' face shares are kept; the metadata are those of the store, and ``pooling``. Where
    people are told apart, ``n_people`` says how many clips show one, two, and so on. Errors are
    those of `features.store.read_store` and `pool_clips`.
    """
    pooled, shares = [], []
    n_people: Counter[int] = Counter()
    for shard in map(read_store, shards_of(Path(path))):
        pooled.append(pool_clips(shard, pooling))
        if shard.face_share is not None:  # the same in every row of a clip
            shares.append(shard.face_share[shard.clip_starts()])
        if shard.track is not None:
            n_people.update((np.maximum.reduceat(shard.track, shard.clip_starts()) + 1).tolist())
    ids, vectors = map(np.concatenate, zip(*pooled, strict=True))
    _check_once(ids)
    metadata = {**shard.metadata, "pooling": pooling.model_dump(mode="json")}
    if n_people:
        metadata["n_people"] = {str(n): n_people[n] for n in sorted(n_people)}
    share = np.concatenate(shares) if shares else None
    return FeatureStore(ids, None, vectors, metadata, share)


def is_clip_level(metadata: Mapping[str, Any]) -> bool:
    """Whether a store says that its rows are of whole clips, one each: there is nothing to pool."""
    return metadata.get("level") == "clip"


def _check_order(clip_id: NDArray[np.object_], time_s: NDArray[np.float64]) -> None:
    bad = ~np.isfinite(time_s)
    bad[1:] |= (clip_id[1:] == clip_id[:-1]) & (time_s[1:] < time_s[:-1])
    if bad.any():
        raise StoreError(
            f"rows of clip {clip_id[np.argmax(bad)]!r} are not in the order of time, or without "
            "one: sort them by time_s"
        )


def _check_once(clip_id: NDArray[np.object_]) -> None:
    if len(set(clip_id)) < len(clip_id):
        raise StoreError("rows of one clip do not lie together: sort them by clip_id and time_s")


def _pool(rows: Rows, time_s: NDArray[np.float64], pooling: Pooling) -> Rows:
    """Return the statistics of each part, shape (n_parts, n_statistics, dimension)."""
    whole = _summarise(rows, time_s, pooling, np.float32(np.nan))
    parts = []
    for inside in _slices(time_s, pooling):
        is_proper = 0 < inside.stop - inside.start < len(rows)
        part = _summarise(rows[inside], time_s[inside], pooling, whole) if is_proper else whole
        parts.append(part)
    return np.stack(parts)


def _slices(time_s: NDArray[np.float64], pooling: Pooling) -> Iterator[slice]:
    """Yield the rows of each part."""
    n_rows = len(time_s)
    since_s = time_s - time_s[0]
    # Rows stand for the stretch of time up to the next one, so the last one has a length as well.
    length_s = since_s[-1] * n_rows / max(n_rows - 1, 1)
    position = since_s / (length_s if length_s > 0 else 1)
    for level in pooling.parts:
        n_parts = PARTS[level]
        # A row on a border opens the next part, even where rounding left it just before.
        part_of_row = np.minimum((position * n_parts + 1e-6).astype(int), n_parts - 1)
        borders = np.searchsorted(part_of_row, np.arange(n_parts + 1)).tolist()
        yield from (slice(a, b) for a, b in pairwise(borders))


def _summarise(
    rows: Rows, time_s: NDArray[np.float64], pooling: Pooling, otherwise: Rows | np.float32
) -> Rows:
    """Statistics (n_statistics, dimension) of one part; `otherwise` for columns without a value."""
    missing = np.isnan(rows)
    if not missing.any():
        part = Part(rows, time_s)
        return np.stack([STATISTICS[name](part) for name in pooling.statistics])
    summary = np.empty((len(pooling.statistics), rows.shape[1]), np.float32)
    summary[:] = otherwise
    # Columns with the same rows missing make one part without gaps.
    alike: dict[bytes, list[int]] = {}
    for column, pattern in enumerate(missing.T):
        alike.setdefault(pattern.tobytes(), []).append(column)
    for columns in alike.values():
        kept = np.flatnonzero(~missing[:, columns[0]])
        if len(kept):
            part = Part(rows[kept[:, None], columns], time_s[kept])
            summary[:, columns] = [STATISTICS[name](part) for name in pooling.statistics]
    return summary
