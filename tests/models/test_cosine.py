import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.metrics import adjusted_rand_score

from models import cosine
from models.cosine import average_linkage, joined_rows, near_identical


def unit_vectors(n: int, dimension: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(n, dimension))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def clusters(vectors, max_distance):
    ends, distance = average_linkage(vectors, max_distance)
    assert (distance < max_distance + 1e-6).all()
    return joined_rows(len(vectors), ends)


@settings(deadline=None, max_examples=30)
@given(n=st.integers(2, 80), dimension=st.integers(2, 20), seed=st.integers(0, 1000))
def test_cuts_are_those_of_scipy(n, dimension, seed):
    vectors = unit_vectors(n, dimension, seed)
    theirs = linkage(vectors, "average", "cosine")
    ends, distance = average_linkage(vectors, 2.1)
    np.testing.assert_allclose(np.sort(distance), theirs[:, 2], atol=1e-5)
    heights = np.r_[0, theirs[:, 2], 2.1]
    for low, high in itertools.pairwise(heights):
        if high - low > 1e-4:  # nearer ones may be swapped by rounding
            cut = (low + high) / 2
            expected = fcluster(theirs, cut, "distance")
            assert adjusted_rand_score(expected, joined_rows(n, ends[distance < cut])) == 1
            assert adjusted_rand_score(expected, clusters(vectors, cut)) == 1


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_to_join(n):
    assert clusters(unit_vectors(n, 3, 0), 2.1).tolist() == [0] * n


def test_equal_distances_come_to_an_end():
    assert len(average_linkage(np.eye(30), 1.5)[1]) == 29
    assert len(set(clusters(np.eye(30), 1.0))) == 30


@pytest.fixture
def vectors():
    return np.random.default_rng(0).normal(size=(60, 32))


@pytest.mark.parametrize("block_bytes", [1, 2000, 2**26])
def test_what_is_planted_is_found_across_sides_only(vectors, monkeypatch, block_bytes):
    monkeypatch.setattr(cosine, "_BLOCK_BYTES", block_bytes)
    vectors[7] = 3 * vectors[21] + 0.01  # sides 2 and 1
    vectors[40] = vectors[0]  # both on side 0
    vectors[59] = vectors[30] = vectors[31]  # sides 4, 0 and 1
    vectors[50] = np.nan
    leak = near_identical(vectors, np.array(list("abcde"))[np.arange(60) % 5], 0.98)
    assert leak.n_pairs == 4
    assert leak.n_rows == 5
    assert leak.share == pytest.approx(5 / 59)
    assert [pair[:2] for pair in leak.examples] == [(30, 31), (30, 59), (31, 59), (7, 21)]
    assert leak.examples[0][2] == pytest.approx(1)
    assert 0.98 < leak.examples[3][2] < 1


def test_pairs_are_those_of_the_whole_matrix(vectors):
    side = np.random.default_rng(1).integers(3, size=60)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    near = (units @ units.T >= 0.3) & (side[:, None] != side[None])
    leak = near_identical(vectors, side, 0.3, n_examples=4)
    assert leak.n_pairs == near.sum() // 2 > 4
    assert leak.n_rows == near.any(axis=1).sum()
    assert len(leak.examples) == 4
    assert leak.examples[0][2] == pytest.approx((units @ units.T)[near].max())


def test_one_side_and_no_vectors_are_silent(vectors):
    assert near_identical(vectors, np.zeros(60), 0.1).n_pairs == 0
    empty = near_identical(vectors * np.nan, np.arange(60), 0.1)
    assert (empty.n_pairs, empty.share) == (0, 0)
