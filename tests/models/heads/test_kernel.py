import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_approximation import Nystroem
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import rbf_kernel as sklearn_rbf
from sklearn.svm import SVR

from models.folds import assign_folds
from models.heads import make_head
from models.heads.kernel import KernelRidgeHead, SVRHead
from models.kernel import kernel_features
from models.metrics import mean_pearson
from models.view import FoldedView


def curved(n_rows=160, seed=0):
    """A target that no straight line predicts."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_rows, 3)).astype(np.float32)
    y = np.stack([np.square(x[:, 0]), x[:, 1] * x[:, 2]], axis=1)
    return x, y + 0.1 * rng.normal(size=y.shape), rng.integers(20, size=n_rows)


@pytest.mark.parametrize("kind", ["kernel_ridge", "svr"])
def test_finds_what_a_line_does_not_and_landmarks_do_nearly_as_well(kind):
    x, y, groups = curved(n_rows=300)
    view = FoldedView(x, y, groups, assign_folds(groups, 4, 0))
    exact, landmarks = (
        mean_pearson(y, make_head({"kind": kind, **settings}, 0).cross_fit(view).oof)
        for settings in ({}, {"n_landmarks": 150})
    )
    assert exact > 0.9
    assert landmarks == pytest.approx(exact, abs=0.003)


def test_kernel_ridge_equals_scikit_learn_on_the_centred_kernel():
    x, y, _ = curved(60)
    head = KernelRidgeHead(alphas=(0.1,)).fit(x, y)
    z = head.input_scaler_.transform(x)
    centring = np.eye(60) - 1 / 60
    kernel = centring @ sklearn_rbf(z, gamma=1 / 3) @ centring
    plain = KernelRidge(alpha=0.1 * np.trace(kernel) / 60, kernel="precomputed")
    expected = plain.fit(kernel, y - y.mean(axis=0)).predict(kernel) + y.mean(axis=0)
    np.testing.assert_allclose(head.predict(x), expected, atol=1e-3)


@pytest.mark.parametrize("cost", [0.3, 3.0])
def test_svr_equals_scikit_learn_per_target(cost):
    x, y, _ = curved(120)
    y[::7, 1] = np.nan
    new = curved(40, seed=1)[0]
    head = SVRHead(cost=cost).fit(x, y)
    z, z_new = head.input_scaler_.transform(x), head.input_scaler_.transform(new)
    for number, target in enumerate(y.T):
        known = ~np.isnan(target)
        mean, size = target[known].mean(), target[known].std()
        plain = SVR(C=cost, gamma=1 / 3).fit(z[known], (target[known] - mean) / size)
        found = (head.predict(new)[:, number] - mean) / size
        np.testing.assert_allclose(found, plain.predict(z_new), atol=0.05)


def test_support_vectors_that_do_not_settle_are_said(monkeypatch):
    monkeypatch.setattr("models.heads.kernel.MOST_STEPS", 2)
    with pytest.warns(ConvergenceWarning, match="did not settle within 2 steps"):
        SVRHead().fit(*curved(60)[:2])


def kernel_of(made):
    return made.values @ made.values.T


def test_features_are_the_kernel_where_all_rows_are_landmarks():
    x = np.random.default_rng(0).normal(size=(80, 12)).astype(np.float32)
    x[40:50] = x[:10]  # and where rows are equal
    made = kernel_features(x, np.arange(80) < 70, 1 / 12, 80, 0)
    np.testing.assert_allclose(
        kernel_of(made)[:70, :70], sklearn_rbf(x[:70], gamma=1 / 12), atol=1e-4
    )
    coef = np.random.default_rng(1).normal(size=(made.values.shape[1], 2))
    again = made.basis.times(x, made.weights(coef))
    np.testing.assert_allclose(again, made.values @ coef, atol=0.05)


def test_landmarks_stand_for_all_as_well_as_others_do():
    x = np.random.default_rng(0).normal(size=(600, 3)).astype(np.float32)
    rows = np.ones(600, bool)
    made, again, other = (kernel_features(x, rows, 1 / 6, 150, seed) for seed in (3, 3, 4))
    kernel = sklearn_rbf(x, gamma=1 / 6)
    theirs = Nystroem(gamma=1 / 6, n_components=150, random_state=0).fit_transform(x)
    ours, peer = (np.abs(each - kernel).mean() for each in (kernel_of(made), theirs @ theirs.T))
    assert ours < 2 * peer + 1e-4
    assert made.values.tobytes() == again.values.tobytes() != other.values.tobytes()


def test_blocks_and_chunks_do_not_show(monkeypatch):
    x = np.random.default_rng(0).normal(size=(100, 5)).astype(np.float32)
    made = kernel_features(x, np.ones(100, bool), 0.1, 100, 0)
    monkeypatch.setattr("models.kernel.CHUNK_ROWS", 7)
    monkeypatch.setattr("models.kernel.BLOCK", 11)
    again = kernel_features(x, np.ones(100, bool), 0.1, 100, 0)
    np.testing.assert_allclose(kernel_of(made), kernel_of(again), atol=1e-4)
