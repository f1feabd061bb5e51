import warnings
from dataclasses import replace
from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError

from features.cache import Embedding
from features.pool import PARTS, STATISTICS, Pooling, pool_clips, pool_store
from features.store import FeatureStore, StoredClip, StoreError, read_store, write_store

EVERYTHING = Pooling(statistics=tuple(STATISTICS), parts=tuple(PARTS))
NAN = float("nan")


def make_store(*clips: tuple[np.ndarray, np.ndarray]) -> FeatureStore:
    """Store of clips given as (rows, time_s)."""
    ids = np.array([f"c{k}" for k in range(len(clips))], object)
    return FeatureStore(
        np.repeat(ids, [len(rows) for rows, _ in clips]),
        np.concatenate([time_s for _, time_s in clips]),
        np.concatenate([rows for rows, _ in clips]),
        {},
    )


def reference(rows: np.ndarray, time_s: np.ndarray, pooling: Pooling) -> np.ndarray:
    """One clip as one would write it down: column by column, in float64 and exact time."""
    time = [Fraction(float(t)) - Fraction(float(time_s[0])) for t in time_s]
    length = time[-1] * len(time) / max(len(time) - 1, 1)
    vector = []
    for n_parts in (PARTS[level] for level in pooling.parts):
        part_of_row = np.array([min(floor(t * n_parts / (length or 1)), n_parts - 1) for t in time])
        for part in range(n_parts):
            for name in pooling.statistics:
                for column in rows.T.astype(float):
                    chosen = (part_of_row == part) & ~np.isnan(column)
                    chosen = chosen if chosen.any() else ~np.isnan(column)
                    vector.append(reference_statistic(name, column[chosen], time_s[chosen]))
    return np.array(vector)


def reference_statistic(name: str, values: np.ndarray, time_s: np.ndarray) -> float:
    if not len(values):
        return NAN
    if name == "slope":
        since_s = time_s - time_s.mean()
        return since_s @ values / (since_s @ since_s or 1)
    if name.startswith("q"):
        return np.quantile(values, int(name[1:]) / 100)
    return getattr(np, name)(values)


@st.composite
def clips(draw):
    """Clips of one dimension, many of them alike in the number of rows, some with gaps."""
    dimension = draw(st.sampled_from([1, 2, 3, 9]))
    sizes = draw(st.lists(st.sampled_from([1, 2, 5, 5, 17]), min_size=1, max_size=6))
    values = st.floats(-100, 100, width=16) | st.sampled_from([0.0, -0.0])
    values = draw(st.sampled_from([values, values | st.just(NAN)]))
    return [
        (
            draw(hnp.arrays(np.float16, (size, dimension), elements=values, fill=values)),
            np.cumsum(draw(st.lists(st.integers(0, 8), min_size=size, max_size=size))) / 8,
        )
        for size in sizes
    ]


@pytest.mark.parametrize("n_rows", [8, 24, 56, 104])
@pytest.mark.parametrize("rate_hz", [3, 7, 10, 29.97])
def test_rounded_times_do_not_move_a_row_over_a_border(n_rows, rate_hz):
    time_s = 0.1 + np.arange(n_rows) / rate_hz
    rows = np.arange(n_rows, dtype=np.float32)[:, None]
    pooling = Pooling(statistics=("min",), parts=("eighths",))
    _, vectors = pool_clips(make_store((rows, time_s)), pooling)
    assert vectors[0].tolist() == (np.arange(8) * n_rows / 8).tolist()


@settings(max_examples=30, deadline=None)
@given(clips=clips())
def test_equals_a_plain_loop(clips):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ids, vectors = pool_clips(make_store(*clips), EVERYTHING)
    assert len(ids) == len(clips)
    for vector, (rows, time_s) in zip(vectors, clips, strict=True):
        # A slope multiplies the rounding of values by up to 8 rows per second.
        np.testing.assert_allclose(vector, reference(rows, time_s, EVERYTHING), 1e-4, 1e-3)


def test_infinite_rows_pass_without_a_warning_and_a_store_may_be_empty():
    clips = [(np.array([[1.0], [2.0], [last]]), np.arange(3) / 4) for last in (np.inf, 3.0)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, vectors = pool_clips(make_store(*clips), EVERYTHING)
    assert vectors[0, 0] == np.inf
    assert np.isfinite(vectors[1]).all()
    empty = FeatureStore(np.empty(0, object), np.empty(0), np.empty((0, 4), np.float16), {})
    assert pool_clips(empty, EVERYTHING)[1].shape == (0, 15 * len(STATISTICS) * 4)


@pytest.mark.parametrize(
    ("statistics", "parts", "message"),
    [
        (["medain"], ["whole"], "'medain': expected one of mean, std, .*median"),
        (["mean"], ["thirds"], "'thirds': expected one of whole, halves, quarters, eighths"),
        (["mean", "mean"], ["whole"], "more than once"),
        ([], ["whole"], "at least 1"),
    ],
)
def test_names_are_known_and_given_once_and_at_least_one(statistics, parts, message):
    with pytest.raises(ValidationError, match=message):
        Pooling(statistics=statistics, parts=parts)


@pytest.mark.parametrize(
    ("ids", "time_s", "metadata", "message"),
    [
        ("aaa", np.array([0.0, 2.0, 1.0]), {}, "'a' are not in the order of time"),
        ("aba", np.zeros(3), {}, "do not lie together"),
        ("abc", None, {}, "clip vectors already"),
        ("abb", np.zeros(3), {"level": "clip"}, "clips with several rows"),
        *(("abb", np.array([0, 0, t]), {}, "'b' are .*without one") for t in (NAN, np.inf)),
    ],
)
def test_what_cannot_be_pooled_is_refused(ids, time_s, metadata, message):
    rows = np.ones((3, 1), np.float32)
    store = FeatureStore(np.array(list(ids), object), time_s, rows, metadata)
    with pytest.raises(StoreError, match=message):
        pool_clips(store, Pooling(statistics=("mean",), parts=("whole",)))


def test_a_store_on_disk_is_pooled_shard_by_shard_to_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setattr("features.store._SHARD_BYTES", 1)
    rng = np.random.default_rng(0)
    written = [
        StoredClip(str(k), str(k), Embedding(np.arange(n) / 3.0, rng.normal(size=(n, 4)), k / 9))
        for k, n in enumerate([1, 5, 5, 9])
    ]
    write_store(tmp_path / "s", written, {"identity": "x"})
    pooled = pool_store(tmp_path / "s", EVERYTHING)
    ids, vectors = pool_clips(read_store(tmp_path / "s"), EVERYTHING)
    assert (pooled.clip_id.tolist(), pooled.time_s) == (ids.tolist(), None)
    assert pooled.embedding.tobytes() == vectors.tobytes()
    assert pooled.face_share.tolist() == [k / 9 for k in range(4)]
    assert pooled.metadata == {"identity": "x", "pooling": EVERYTHING.model_dump(mode="json")}
    write_store(tmp_path / "s", [*written, written[0]], {})  # a clip comes again
    with pytest.raises(StoreError, match="do not lie together"):
        pool_store(tmp_path / "s", EVERYTHING)


def test_sums_of_many_rows_stay_exact():
    rows = np.tile(np.float32([0.1, 100.1]), (10**6, 1))
    pooling = Pooling(statistics=("mean", "std", "slope"), parts=("whole", "halves"))
    _, (vector,) = pool_clips(make_store((rows, np.arange(len(rows)) / 100)), pooling)
    assert vector == pytest.approx(3 * [0.1, 100.1, 0, 0, 0, 0], rel=1e-6)


def test_people_are_pooled_one_by_one(tmp_path):
    """The vector of the one seen longest, or the mean of all, as if each were a clip alone."""
    rng = np.random.default_rng(0)
    track = np.array([0, 1, 0, 2, 0, 1, 0, 1], np.int32)
    rows, time_s = rng.normal(size=(8, 3)).astype(np.float32), np.repeat(np.arange(4), 2) / 2
    alone = make_store(*((rows[track == k], time_s[track == k]) for k in range(3)))
    people = pool_clips(alone, EVERYTHING)[1]
    seen = {"a": slice(8), "b": slice(1, 3)}
    clips = [
        StoredClip(k, k, Embedding(time_s[n], rows[n], 1.0, track[n], track[n].astype("f4")))
        for k, n in seen.items()
    ]
    write_store(tmp_path / "faces", clips, {})
    for which, expected in (("longest", people[0]), ("each", people.mean(axis=0))):
        pooling = EVERYTHING.model_copy(update={"track": which})
        pooled = pool_store(tmp_path / "faces", pooling)
        assert pooled.embedding[0] == pytest.approx(expected, abs=1e-6)
        assert pooled.metadata["n_people"] == {"2": 1, "3": 1}
    rest = replace(make_store((rows[track > 0], time_s[track > 0])), track=track[track > 0])
    assert np.array_equal(pool_clips(rest, EVERYTHING)[1][0], people[1])
