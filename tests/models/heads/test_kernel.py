import numpy as np
import pytest
from sklearn.kernel_approximation import Nystroem
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import rbf_kernel as sklearn_rbf
from sklearn.svm import SVR

from models.folds import assign_folds
from models.heads import make_head
from models.heads.kernel import KernelRidgeHead, SVRCandidates, rbf_kernel
from models.metrics import mean_pearson
from models.ridge.equations import FoldGram
from models.ridge.penalties import RidgeCandidates
from models.view import WHOLE, FoldedView
from tests.models.small import plain_cross_fit


def curved(n_rows=160, seed=0):
    """A target that no straight line predicts."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_rows, 3)).astype(np.float32)
    y = np.stack([np.square(x[:, 0]), x[:, 1] * x[:, 2]], axis=1)
    return x, y + 0.1 * rng.normal(size=y.shape), rng.integers(20, size=n_rows)


@pytest.mark.parametrize("kind", ["kernel_ridge", "svr"])
def test_finds_what_a_line_does_not(kind):
    x, y, groups = curved()
    predicted = make_head({"kind": kind}, 0).fit(x[:120], y[:120], groups[:120]).predict(x[120:])
    assert mean_pearson(y[120:], predicted) > 0.8


@pytest.mark.parametrize("kind", ["kernel_ridge", "svr"])
def test_landmarks_do_nearly_as_well(kind):
    x, y, groups = curved(n_rows=800)
    settings = {"memory_limit_mib": 1, "n_landmarks": 200}
    view = FoldedView(x, y, groups, assign_folds(groups, 4, 0))
    head = make_head({"kind": kind, **settings}, 0)
    fast, (oof, _) = head.cross_fit(view), plain_cross_fit(head, view)
    assert mean_pearson(y, fast.oof) > 0.9
    assert mean_pearson(y, fast.oof) == pytest.approx(mean_pearson(y, oof), abs=0.02)


def test_kernel_ridge_equals_scikit_learn_on_the_centred_kernel():
    x, y, _ = curved(60)
    kernel = rbf_kernel(x, x, 0.2)
    folds = np.arange(60) % 3
    family = RidgeCandidates(FoldGram(kernel, folds, is_kernel=True), y, (1.0, 0.1))
    for fold in (1, WHOLE):
        train = folds != fold
        n = train.sum()
        centring = np.eye(n) - 1 / n
        part = centring @ kernel[np.ix_(train, train)].astype(np.float64) @ centring
        unit = np.trace(part) / n
        coef, intercept = family.fit(fold, np.array([1, 0]))
        np.testing.assert_array_equal(coef[~train], 0)
        for target, alpha in enumerate((0.1, 1.0)):
            mean = y[train, target].mean()
            plain = KernelRidge(alpha=alpha * unit, kernel="precomputed")
            expected = plain.fit(part, y[train, target] - mean).predict(part) + mean
            found = kernel[train] @ coef[:, target] + intercept[target]
            np.testing.assert_allclose(found, expected, atol=1e-4)


def test_svr_equals_scikit_learn_per_target():
    x, y, _ = curved(60)
    kernel = rbf_kernel(x, x, 0.2)
    folds = np.arange(60) % 3
    coef, intercept = SVRCandidates(kernel, True, folds, y, np.array([0.5, 2.0]), 0.1).fit(
        1, np.array([1, 0])
    )
    train = folds != 1
    for target, cost in enumerate((2.0, 0.5)):
        t = y[train, target]
        plain = SVR(C=cost, gamma=0.2).fit(x[train], (t - t.mean()) / t.std())
        expected = plain.predict(x) * t.std() + t.mean()
        np.testing.assert_allclose(
            kernel @ coef[:, target] + intercept[target], expected, atol=0.01
        )


def inputs(n_rows=80, n_columns=12, seed=0):
    return np.random.default_rng(seed).normal(size=(n_rows, n_columns)).astype(np.float32)


def features(x, **settings):
    return KernelRidgeHead(**{"memory_limit_mib": 1, **settings})._basis(x)


def test_all_rows_are_the_basis_where_the_kernel_fits():
    x, new = inputs(), inputs(30, seed=1)
    found = features(x, width=0.5)
    assert found.whitener is None
    np.testing.assert_allclose(found.transform(new), sklearn_rbf(new, x, 1 / 12), atol=1e-6)


def test_landmarks_stand_for_all_where_it_does_not_fit():
    x = inputs(600, 3)
    found = features(x, n_landmarks=150).transform(x)
    assert found.shape[1] <= 150
    kernel = sklearn_rbf(x, x, 1 / 6)
    assert np.abs(found @ found.T - kernel).mean() < 0.005
    theirs = Nystroem(gamma=1 / 6, n_components=150, random_state=0).fit_transform(x)
    ours, peer = (np.abs(f @ f.T - kernel).mean() for f in (found, theirs))
    assert ours < 2 * peer + 1e-6
    assert np.array_equal(features(x, n_landmarks=2000).basis, x)


def test_landmarks_repeat_with_the_seed():
    first, second, other = (
        features(inputs(600), n_landmarks=20, seed=seed).basis.tobytes() for seed in (3, 3, 4)
    )
    assert first == second != other


def test_chunks_do_not_show(monkeypatch):
    x = inputs(600)
    found = features(x, n_landmarks=20)
    expected = found.transform(x)
    monkeypatch.setattr("models.heads.kernel.CHUNK_ROWS", 7)
    np.testing.assert_allclose(found.transform(x), expected, atol=1e-5)
