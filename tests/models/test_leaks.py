import numpy as np
import pytest

from models import linkage
from models.leaks import near_identical


@pytest.fixture
def vectors():
    return np.random.default_rng(0).normal(size=(60, 32))


def test_nothing_planted_nothing_found(vectors):
    leak = near_identical(vectors, np.arange(60) % 5, 0.98)
    assert (leak.n_pairs, leak.n_rows, leak.share, leak.examples) == (0, 0, 0, ())


@pytest.mark.parametrize("block_bytes", [1, 2000, 2**26])
def test_what_is_planted_is_found_across_sides_only(vectors, monkeypatch, block_bytes):
    monkeypatch.setattr(linkage, "_BLOCK_BYTES", block_bytes)
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
    assert (empty.n_compared, empty.n_pairs, empty.share) == (0, 0, 0)
