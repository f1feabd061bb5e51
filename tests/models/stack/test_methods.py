import numpy as np
import pytest
from scipy.optimize import nnls as solve_nnls
from sklearn.linear_model import Ridge

from models.stack import methods
from models.stack.folded import Folded
from models.stack.methods import METHODS, average, greedy, nnls, ridge


def folded(n_rows=120, n_members=4, n_targets=2, seed=0, noise=1.0, n_folds=4):
    """Later members are better."""
    rng = np.random.default_rng(seed)
    targets = rng.normal(size=(n_rows, n_targets))
    strength = np.linspace(0, 1, n_members)[:, None]
    members = strength * targets[:, None] + noise * rng.normal(size=(n_rows, n_members, n_targets))
    return members, targets, np.arange(n_rows) % n_folds


def own(data, weights):
    return np.take_along_axis(weights, data.sums(data.folds).own, axis=1)


def centred(data, target, folds):
    """Own inputs and labels of complete targets, centred inside each fold."""
    rows = data.rows(folds)
    n_targets = data.centred.shape[1]
    return data.inputs[rows][:, target::n_targets], data.centred[rows, target]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("n_members", "n_targets"), [(1, 1), (1, 3), (5, 1), (3, 2)])
@pytest.mark.parametrize("n_folds", [1, 2, 4])
def test_every_method_gives_a_weight_for_every_input(method, n_members, n_targets, n_folds):
    data = Folded(*folded(n_members=n_members, n_targets=n_targets, n_folds=n_folds))
    weights = METHODS[method](data, data.folds)
    assert weights.shape == (n_targets, n_members * n_targets)
    assert np.isfinite(weights).all()


@pytest.mark.parametrize("method", METHODS)
def test_every_method_survives_copies_constants_and_missing_labels(method):
    members, targets, fold_of_row = folded(n_members=5, n_targets=3)
    members[:, 1] = members[:, 0]
    members[:, 2] = 0.5
    targets[:, 1] = np.nan
    targets[:, 2] = 0.25
    data = Folded(members, targets, fold_of_row)
    weights = METHODS[method](data, data.folds)
    assert np.isfinite(weights).all()
    assert weights[0].any()


@pytest.mark.parametrize("method", ["average", "nnls", "greedy"])
def test_weights_of_one_target_use_predictions_of_that_target_only(method):
    data = Folded(*folded())
    weights = METHODS[method](data, data.folds)
    assert (weights >= 0).all()
    assert np.count_nonzero(weights) == np.count_nonzero(own(data, weights))


def test_the_average_is_the_average():
    data = Folded(*folded())
    np.testing.assert_array_equal(own(data, average(data, data.folds)), 0.25)


def test_nnls_is_that_of_the_rows_with_its_prior_as_further_rows():
    data = Folded(*folded())
    folds = (0, 2, 3)
    weights = own(data, nnls(data, folds))
    for target in range(2):
        x, y = centred(data, target, folds)
        equal = (x.sum(axis=1) @ y) / (x.sum(axis=1) @ x.sum(axis=1))
        pull = np.sqrt(methods.PRIOR_ROWS)
        expected = solve_nnls(
            np.vstack([x, pull * np.eye(4)]), np.append(y, np.full(4, pull * equal))
        )[0]
        np.testing.assert_allclose(
            weights[target] / weights[target].sum(), expected / expected.sum(), atol=1e-9
        )


def test_nnls_stays_near_equal_with_few_rows_and_leaves_them_with_many():
    few, many = (Folded(*folded(n_rows=n)) for n in (40, 8_000))
    first = [own(data, nnls(data, data.folds))[:, 0] for data in (few, many)]
    total = [own(data, nnls(data, data.folds)).sum(axis=1) for data in (few, many)]
    assert (first[0] / total[0] > 0.12).all()
    assert (first[1] / total[1] < 0.03).all()


def test_nnls_does_not_depend_on_the_units_of_the_target():
    members, targets, fold_of_row = folded()
    data, tiny = (Folded(members, t, fold_of_row) for t in (targets, 1e-9 * targets))
    np.testing.assert_allclose(nnls(tiny, tiny.folds), nnls(data, data.folds), rtol=1e-6)


def test_greedy_draws_what_a_plain_loop_draws():
    data = Folded(*folded(n_folds=1))
    weights = own(data, greedy(data, data.folds))
    for target in range(2):
        x, y = centred(data, target, data.folds)
        counts, best, best_r = np.ones(4), None, -1.0
        for _ in range(methods.GREEDY_STEPS):
            r = [np.corrcoef(x @ (counts + step), y)[0, 1] for step in np.eye(4)]
            counts[np.argmax(r)] += 1
            if max(r) > best_r + 1e-12:
                best, best_r = counts.copy(), max(r)
        np.testing.assert_allclose(
            weights[target] / weights[target].sum(), best / best.sum(), atol=1e-3
        )


def test_greedy_is_the_mean_over_folds_left_out():
    data = Folded(*folded(n_folds=2))
    single = [greedy(data, (fold,)) for fold in (0, 1)]
    np.testing.assert_allclose(greedy(data, (0, 1)), np.mean(single, axis=0))


def test_greedy_does_not_draw_constant_members():
    members, targets, fold_of_row = folded()
    members[:, 3] = 1.0
    data = Folded(members, targets, fold_of_row)
    np.testing.assert_array_equal(own(data, greedy(data, data.folds))[:, 3], 1)


def test_ridge_is_that_of_the_rows_around_nnls():
    data = Folded(*folded(n_rows=400))
    rows = len(data.inputs)
    candidates = []
    base = nnls(data, data.folds)
    for target in range(2):
        y, line = data.centred[:, target], data.inputs @ base[target]
        prior = base[target] * (line @ y) / (line @ line)
        residual = y - data.inputs @ prior
        fits = [
            Ridge(alpha=penalty * rows, fit_intercept=False).fit(data.inputs, residual).coef_
            for penalty in methods.PENALTIES
        ]
        candidates.append([prior, *(prior + fit for fit in fits)])
    candidates = np.swapaxes(candidates, 0, 1)
    weights = ridge(data, data.folds)
    distances = np.abs(candidates - weights).max(axis=(1, 2))
    assert distances.min() < 1e-9


def test_ridge_on_one_fold_is_the_line_through_nnls():
    data = Folded(*folded(n_folds=1))
    base, weights = nnls(data, data.folds), ridge(data, data.folds)
    np.testing.assert_allclose(
        weights / weights.sum(axis=1, keepdims=True), base / base.sum(axis=1, keepdims=True)
    )


def test_ridge_uses_predictions_of_other_targets():
    members, targets, fold_of_row = folded(n_rows=600, n_members=2)
    data = Folded(members[:, :, ::-1].copy(), targets, fold_of_row)
    weights = ridge(data, data.folds)
    assert (np.abs(own(data, weights)).sum(axis=1) < 0.3 * np.abs(weights).sum(axis=1)).all()
