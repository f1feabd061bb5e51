import numpy as np
import pytest
from sklearn.kernel_approximation import Nystroem
from sklearn.metrics.pairwise import rbf_kernel as sklearn_rbf

from models.kernel import fit_features, rbf_kernel


def inputs(n_rows=80, n_columns=12, seed=0):
    return np.random.default_rng(seed).normal(size=(n_rows, n_columns)).astype(np.float32)


def test_kernel_equals_scikit_learn():
    a, b = inputs(), inputs(30, seed=1)
    np.testing.assert_allclose(rbf_kernel(a, b, 0.05), sklearn_rbf(a, b, 0.05), atol=1e-6)


def test_all_rows_are_the_basis_where_the_kernel_fits():
    x = inputs()
    features = fit_features(x, width=0.5, memory_limit_mib=1, n_landmarks=10, seed=0)
    assert features.is_kernel
    new = inputs(5, seed=1)
    np.testing.assert_allclose(features.transform(new), sklearn_rbf(new, x, 1 / 12), atol=1e-6)


def test_landmarks_stand_for_all_where_it_does_not_fit():
    x = inputs(600, 3)
    features = fit_features(x, width=1.0, memory_limit_mib=1, n_landmarks=150, seed=0)
    assert not features.is_kernel
    found = features.transform(x)
    kernel = sklearn_rbf(x, x, 1 / 6)
    assert np.abs(found @ found.T - kernel).mean() < 0.005
    theirs = Nystroem(gamma=1 / 6, n_components=150, random_state=0).fit_transform(x)
    ours, peer = (np.abs(f @ f.T - kernel).mean() for f in (found, theirs))
    assert ours < 2 * peer + 1e-6


def test_more_landmarks_than_rows_are_all_rows():
    x = inputs(600, 3)
    features = fit_features(x, width=1.0, memory_limit_mib=1, n_landmarks=2000, seed=0)
    assert np.array_equal(features.basis, x)


def test_landmarks_repeat_with_the_seed():
    x = inputs(600)
    first, second, other = (fit_features(x, 1.0, 1, 20, seed).basis.tobytes() for seed in (3, 3, 4))
    assert first == second != other


def test_chunks_do_not_show(monkeypatch):
    x = inputs(600)
    features = fit_features(x, 1.0, 1, 20, 0)
    expected = features.transform(x)
    monkeypatch.setattr("models.kernel.CHUNK_ROWS", 7)
    np.testing.assert_allclose(features.transform(x), expected, atol=1e-5)


@pytest.mark.parametrize("width", [0.1, 10.0])
def test_wider_kernels_reach_farther(width):
    x = inputs()
    kernel = fit_features(x, width, 1, 10, 0).transform(x)
    off = kernel[~np.eye(len(x), dtype=bool)].mean()
    assert off == pytest.approx(np.exp(-1 / width), abs=0.1)
