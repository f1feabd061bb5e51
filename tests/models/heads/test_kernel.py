import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_approximation import Nystroem
from sklearn.metrics.pairwise import rbf_kernel as sklearn_rbf

from models.folds import assign_folds
from models.heads import make_head
from models.heads.kernel import FEWEST_AXES, SVRHead
from models.kernel import OFFSET, KernelEquations, kernel_rows, landmark_features
from models.metrics import mean_pearson
from models.projection import principal_axes
from models.ridge.equations import FoldGram
from models.view import FoldedView


def curved(n_rows=160, seed=0):
    """A target that no straight line predicts."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_rows, 3)).astype(np.float32)
    y = np.stack([np.square(x[:, 0]), x[:, 1] * x[:, 2]], axis=1)
    return x, y + 0.1 * rng.normal(size=y.shape), rng.integers(20, size=n_rows)


@pytest.mark.parametrize("kind", ["kernel_ridge", "svr"])
def test_finds_what_a_line_does_not_and_landmarks_only_speed_it_up(kind, monkeypatch):
    x, y, groups = curved(n_rows=300)
    view = FoldedView(x, y, groups, assign_folds(groups, 4, 0))
    few = mean_pearson(y, make_head({"kind": kind}, 0).cross_fit(view).oof)
    monkeypatch.setattr("models.heads.kernel.FEWEST_LANDMARKS", 60)
    some = mean_pearson(y, make_head({"kind": kind}, 0).cross_fit(view).oof)
    assert 0.9 < few == pytest.approx(some, abs=0.01)


def test_support_vectors_that_do_not_settle_are_said(monkeypatch):
    monkeypatch.setattr("models.heads.kernel.MOST_STEPS", 2)
    with pytest.warns(ConvergenceWarning, match="did not settle within 2 steps"):
        SVRHead().fit(*curved(60)[:2])


def test_landmarks_stand_for_all_as_well_as_others_do():
    x = np.random.default_rng(0).normal(size=(600, 3)).astype(np.float32)
    x[40:50] = x[:10]  # also where rows are equal
    rows = kernel_rows(x, 1 / 6)
    made, again, other = (
        landmark_features(rows, np.ones(600, bool), 150, seed) for seed in (3, 3, 4)
    )
    kernel = sklearn_rbf(x, gamma=1 / 6)
    theirs = Nystroem(gamma=1 / 6, n_components=150, random_state=0).fit_transform(x)
    ours, peer = (np.abs(each @ each.T - kernel).mean() for each in (made, theirs))
    assert ours < 2 * peer + 1e-4
    whole = landmark_features(rows, np.arange(600) < 70, 80, 0)[:70]  # all rows are landmarks
    np.testing.assert_allclose(whole @ whole.T, kernel[:70, :70], atol=1e-4)
    assert made.tobytes() == again.tobytes() != other.tobytes()


@pytest.mark.parametrize("n_axes", [None, 8, 4])
def test_products_are_those_of_the_whole_kernel_whatever_the_chunks(monkeypatch, n_axes):
    monkeypatch.setattr("models.kernel.CHUNK_ROWS", 7)
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(50, 8)) * [3, 2, 2, 1, 0.1, 0.1, 0.1, 0.1]).astype(np.float32)
    axes = None
    if n_axes:
        axes = principal_axes(FoldGram(x, np.zeros(50, np.int64)).equations(), n_axes, 0)
    rows, weights = kernel_rows(x, 0.1, axes), rng.normal(size=(50, 2)).astype(np.float32)
    expected = (sklearn_rbf(x, gamma=0.1) + OFFSET) @ weights
    tolerance = 0.1 if n_axes == 4 else 1e-4
    np.testing.assert_allclose(rows.products(weights), expected, atol=tolerance)
    np.testing.assert_allclose(rows.times(x, weights), expected, atol=2 * tolerance)


@pytest.mark.parametrize("penalty", [0.01, 1.0])
@pytest.mark.parametrize("n_landmarks", [5, 40])
def test_equations_are_solved_each_over_its_own_rows(n_landmarks, penalty):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4)).astype(np.float32)
    training = np.stack([np.arange(60) < 50, np.arange(60) % 3 > 0, np.arange(60) < 50], axis=1)
    right = (rng.normal(size=(60, 3)) * training).astype(np.float32)
    penalties = penalty * np.array([1.0, 1.0, 3.0])
    rows = kernel_rows(x, 1 / 8)
    features = landmark_features(rows, np.ones(60, bool), n_landmarks, 0)
    solved, products = KernelEquations(rows, features, training, penalties).solve(right, 1e-5, 99)
    kernel = sklearn_rbf(x, gamma=1 / 8) + OFFSET
    for number, marked in enumerate(training.T):
        own = kernel[np.ix_(marked, marked)] + penalties[number] * np.eye(marked.sum())
        expected = kernel[:, marked] @ np.linalg.solve(own, right[marked, number])
        np.testing.assert_allclose(products[:, number], expected, atol=2e-3)
        np.testing.assert_allclose(kernel @ solved[:, number], expected, atol=2e-3)


@pytest.mark.parametrize("kind", ["kernel_ridge", "svr"])
def test_wide_views_whose_rows_are_all_the_same_tell_nothing_more_than_a_level(kind):
    inputs, targets = np.ones((12, FEWEST_AXES + 1), np.float32), np.arange(24.0).reshape(12, 2)
    people = np.arange(12)
    view = FoldedView(inputs, targets, people, assign_folds(people, 3, 0, targets))
    predicted = make_head({"kind": kind}, 0).cross_fit(view).oof
    assert ((predicted > targets.min()) & (predicted < targets.max())).all()
