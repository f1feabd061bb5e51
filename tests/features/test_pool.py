import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from features.pool import STATISTICS, Pooling, pool_clips
from features.store import FeatureStore


def store(*clips: list[float]) -> FeatureStore:
    ids = np.repeat(np.array([f"c{k}" for k in range(len(clips))], object), [len(c) for c in clips])
    times = np.concatenate([np.arange(len(clip)) / 4 for clip in clips])
    values = np.concatenate(clips).astype(np.float16)[:, None]
    return FeatureStore(ids, times, values, {})


def test_statistics_of_the_whole_clip():
    pooling = Pooling(statistics=("mean", "std", "min", "max"), parts=(1,))
    ids, vectors = pool_clips(store([1, 2, 3, 6], [5, 5]), pooling)
    assert ids.tolist() == ["c0", "c1"]
    assert vectors[0] == pytest.approx([3, np.std([1, 2, 3, 6]), 1, 6])
    assert vectors[1].tolist() == [5, 0, 5, 5]
    assert vectors.dtype == np.float32


def test_a_pyramid_keeps_the_order_of_time():
    pooling = Pooling(statistics=("mean",), parts=(1, 2, 4))
    _, vectors = pool_clips(store([0, 0, 4, 8]), pooling)
    assert vectors[0].tolist() == [3, 0, 6, 0, 0, 4, 8]


def test_parts_without_a_row_take_the_whole_clip():
    pooling = Pooling(statistics=("mean",), parts=(1, 2))
    _, vectors = pool_clips(store([7]), pooling)
    assert vectors[0].tolist() == [7, 7, 7]


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    parts=st.lists(st.sampled_from([1, 2, 3, 4, 8]), min_size=1, max_size=3),
)
def test_vectors_are_finite_and_of_one_width(sizes, parts):
    rng = np.random.default_rng(0)
    pooling = Pooling(statistics=tuple(STATISTICS), parts=tuple(parts))
    ids, vectors = pool_clips(store(*(rng.normal(size=size).tolist() for size in sizes)), pooling)
    assert vectors.shape == (len(sizes), sum(parts) * len(STATISTICS))
    assert len(set(ids)) == len(sizes)
    assert np.isfinite(vectors).all()


def test_an_unknown_statistic_is_refused():
    with pytest.raises(ValidationError, match="median"):
        Pooling(statistics=("median",), parts=(1,))


def test_clip_vectors_cannot_be_pooled_again():
    vectors = FeatureStore(np.array(["a"], object), None, np.ones((1, 2)), {})
    with pytest.raises(ValueError, match="clip vectors already"):
        pool_clips(vectors, Pooling(statistics=("mean",), parts=(1,)))
