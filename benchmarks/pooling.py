"""Pooling against a plain loop over clips.

From the root of the repository: ``python -m benchmarks.pooling [--fast]``
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.machine import describe
from benchmarks.timing import timed
from features.pool import PARTS, STATISTICS, Pooling, pool_clips
from features.store import FeatureStore

# name: (clips, rows per clip, dimension, equally long clips, pooling)
CASES = {
    "frames, mean and std": (
        (25_067, 33, 512, True),
        Pooling(statistics=("mean", "std"), parts=("whole", "halves")),
    ),
    "frames of uneven clips": (
        (8_000, 33, 512, False),
        Pooling(statistics=("mean", "std"), parts=("whole", "halves")),
    ),
    "sound, mean and std": (
        (8_000, 100, 25, True),
        Pooling(statistics=("mean", "std"), parts=("whole", "halves")),
    ),
    "frames, everything": (
        (500, 33, 512, True),
        Pooling(statistics=tuple(STATISTICS), parts=tuple(PARTS)),
    ),
}
FAST_SHARE = 20

LOOP_STATISTICS: dict[str, Callable[..., NDArray[np.floating]]] = {
    "mean": lambda rows, _: rows.mean(axis=0),
    "std": lambda rows, _: rows.std(axis=0),
    "min": lambda rows, _: rows.min(axis=0),
    "max": lambda rows, _: rows.max(axis=0),
    "q10": lambda rows, _: np.quantile(rows, 0.1, axis=0),
    "q25": lambda rows, _: np.quantile(rows, 0.25, axis=0),
    "median": lambda rows, _: np.median(rows, axis=0),
    "q75": lambda rows, _: np.quantile(rows, 0.75, axis=0),
    "q90": lambda rows, _: np.quantile(rows, 0.9, axis=0),
    "slope": lambda rows, t: np.polyfit(t, rows, 1)[0] if len(t) > 1 else np.zeros(rows.shape[1]),
}


def main(fast: Annotated[bool, typer.Option(help="A twentieth of the clips.")] = False) -> None:
    """Time `pool_clips` and a loop that pools one clip after the other."""
    typer.echo(describe())
    for name, ((n_clips, n_rows, dimension, equal), pooling) in CASES.items():
        store = make_store(n_clips // (FAST_SHARE if fast else 1), n_rows, dimension, equal)
        seconds, (ids, vectors) = timed(partial(pool_clips, store, pooling))
        loop_seconds, expected = timed(partial(pool_in_a_loop, store, pooling))
        np.testing.assert_allclose(vectors, expected, rtol=1e-3, atol=1e-3)
        typer.echo(
            f"{name}: {len(ids)} clips x {n_rows} rows x {dimension} -> {vectors.shape[1]} columns "
            f"in {seconds:.2f} s; the loop {loop_seconds:.2f} s; ratio {loop_seconds / seconds:.1f}"
        )


def make_store(n_clips: int, n_rows: int, dimension: int, equal: bool) -> FeatureStore:
    """Make a float16 store; clips not `equal` have from half to all of `n_rows`."""
    rng = np.random.default_rng(0)
    sizes = np.full(n_clips, n_rows) if equal else rng.integers(n_rows // 2, n_rows + 1, n_clips)
    time_s = np.concatenate([np.arange(size) / 3 for size in sizes])
    embedding = np.empty((len(time_s), dimension), np.float16)
    for rows in np.array_split(embedding, max(1, len(embedding) // 10_000)):
        rows[:] = rng.standard_normal(rows.shape, np.float32)
    clip_id = np.repeat(np.array([f"clip{k}" for k in range(n_clips)], object), sizes)
    return FeatureStore(clip_id, time_s, embedding, {})


def pool_in_a_loop(store: FeatureStore, pooling: Pooling) -> NDArray[np.float32]:
    """Pool with a few plain NumPy calls per clip."""
    assert store.time_s is not None
    start = np.flatnonzero(np.r_[True, store.clip_id[1:] != store.clip_id[:-1]])
    vectors = []
    for a, b in zip(start, np.r_[start[1:], len(store.clip_id)], strict=True):
        rows, time_s = store.embedding[a:b].astype(np.float32), store.time_s[a:b]
        position = np.arange(b - a) / (b - a)
        vector = []
        for n_parts in (PARTS[level] for level in pooling.parts):
            part_of_row = (position * n_parts + 1e-6).astype(int)
            for part in range(n_parts):
                chosen = part_of_row == part
                chosen = chosen if chosen.any() else np.full(b - a, True)
                vector += [
                    LOOP_STATISTICS[name](rows[chosen], time_s[chosen])
                    for name in pooling.statistics
                ]
        vectors.append(np.concatenate(vector))
    return np.stack(vectors).astype(np.float32)


if __name__ == "__main__":
    typer.run(main)
