import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.metrics import adjusted_rand_score

from models import linkage as ours
from models.linkage import average_linkage


def unit_vectors(n: int, dimension: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(n, dimension))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@settings(deadline=None, max_examples=30)
@given(n=st.integers(2, 80), dimension=st.integers(2, 20), seed=st.integers(0, 1000))
def test_cuts_are_those_of_scipy(n, dimension, seed):
    vectors = unit_vectors(n, dimension, seed)
    theirs = linkage(vectors, "average", "cosine")
    merges = average_linkage(vectors, 2.1)
    assert np.allclose(np.sort(merges.distance), theirs[:, 2], atol=1e-5)
    heights = np.r_[0, theirs[:, 2], 2.1]
    for low, high in itertools.pairwise(heights):
        if high - low > 1e-4:  # nearer ones may be swapped by rounding
            cut = (low + high) / 2
            expected = fcluster(theirs, cut, "distance")
            assert adjusted_rand_score(expected, merges.cut(cut)) == 1
            assert adjusted_rand_score(expected, average_linkage(vectors, cut).cut(cut)) == 1


def test_blocks_do_not_matter(monkeypatch):
    vectors = unit_vectors(100, 8, 0)
    whole = average_linkage(vectors, 0.5).cut(0.5)
    monkeypatch.setattr(ours, "_BLOCK_BYTES", 4000)
    assert len(ours.row_blocks(100, 100)) == 10
    assert np.array_equal(average_linkage(vectors, 0.5).cut(0.5), whole)


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_to_join(n):
    merges = average_linkage(unit_vectors(n, 3, 0), 2.1)
    assert len(merges.distance) == 0
    assert merges.cut(1).tolist() == [0] * n


def test_equal_distances_come_to_an_end():
    merges = average_linkage(np.eye(30), 1.5)
    assert len(merges.distance) == 29
    assert len(set(average_linkage(np.eye(30), 1.0).cut(1.0))) == 30
