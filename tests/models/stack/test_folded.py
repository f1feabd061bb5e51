import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.stack.folded import Folded


def folded(n_rows=60, n_members=3, n_targets=2, seed=0, gaps=0.0):
    rng = np.random.default_rng(seed)
    members = rng.normal(size=(n_rows, n_members, n_targets))
    targets = members.mean(axis=1) + rng.normal(size=(n_rows, n_targets))
    targets[rng.random(targets.shape) < gaps] = np.nan
    return members, targets, np.arange(n_rows) % 4


def centred_rows(data, targets, folds, target):
    """Inputs and labels of the labelled rows, centred inside each fold by a plain loop."""
    inputs, labels = [], []
    for fold in folds:
        rows = data.rows((fold,)) & ~np.isnan(targets[:, target])
        if rows.any():
            inputs.append(data.inputs[rows] - data.inputs[rows].mean(axis=0))
            labels.append(targets[rows, target] - targets[rows, target].mean())
    return np.concatenate(inputs), np.concatenate(labels)


@settings(deadline=None, max_examples=25)
@given(
    n_rows=st.integers(8, 60),
    n_members=st.integers(1, 4),
    n_targets=st.integers(1, 4),
    gaps=st.sampled_from([0.0, 0.3, 0.7]),
    seed=st.integers(0, 99),
)
def test_sums_are_those_of_a_plain_loop(n_rows, n_members, n_targets, gaps, seed):
    members, targets, fold_of_row = folded(n_rows, n_members, n_targets, seed, gaps)
    targets[:2] = 0.5  # at least one label for each target
    data = Folded(members, targets, fold_of_row)
    folds = (0, 1, 3)
    sums = data.sums(folds)
    weights = np.random.default_rng(seed).normal(size=sums.cross.shape)
    with_target, with_self = sums.products(weights)
    for target in range(n_targets):
        x, y = centred_rows(data, targets, folds, target)
        assert sums.n_rows[target] == len(y)
        np.testing.assert_allclose(sums.gram[sums.pattern[target]], x.T @ x, atol=1e-9)
        np.testing.assert_allclose(sums.cross[target], y @ x, atol=1e-9)
        assert sums.size[target] == pytest.approx(y @ y, abs=1e-9)
        combined = x @ weights[target]
        assert with_target[target] == pytest.approx(combined @ y, abs=1e-9)
        assert with_self[target] == pytest.approx(combined @ combined, abs=1e-8)


def test_own_inputs_are_the_members_predictions_of_the_target():
    members, targets, fold_of_row = folded()
    data = Folded(members, targets, fold_of_row)
    sums = data.sums(data.folds)
    np.testing.assert_array_equal(sums.own, [[0, 2, 4], [1, 3, 5]])
    gram, cross = sums.own_sums()
    np.testing.assert_array_equal(gram[1], sums.gram[0][1::2, 1::2])
    np.testing.assert_array_equal(cross[1], sums.cross[1, 1::2])


def test_complete_targets_share_one_gram():
    members, targets, fold_of_row = folded(n_targets=3)
    assert len(Folded(members, targets, fold_of_row).sums((0,)).gram) == 1
    targets[0, 1] = np.nan
    sums = Folded(members, targets, fold_of_row).sums((0,))
    assert len(sums.gram) == 2
    assert sums.pattern[0] == sums.pattern[2] != sums.pattern[1]


def test_members_are_standardised_inside_their_fold():
    members, targets, fold_of_row = folded()
    inputs = Folded(members * 9 + fold_of_row[:, None, None], targets, fold_of_row).inputs
    for fold in range(4):
        rows = inputs[fold_of_row == fold]
        np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(rows.std(axis=0), 1)


def test_a_member_that_only_rounding_varies_is_zero():
    members, targets, fold_of_row = folded()
    members[:, 0] = 1e6 + 1e-9 * members[:, 0]
    inputs = Folded(members, targets, fold_of_row).inputs
    np.testing.assert_array_equal(inputs[:, :2], 0)


def test_a_combination_that_cancels_out_has_no_size():
    members, targets, fold_of_row = folded(n_members=2, n_targets=1)
    members[:, 1] = -members[:, 0]
    data = Folded(members, targets, fold_of_row)
    assert data.sums(data.folds).products(np.array([[0.5, 0.5]]))[1] == 0


def test_a_target_that_only_rounding_varies_is_zero():
    members, targets, fold_of_row = folded()
    targets[:, 1] = 0.1 + 1e-12 * targets[:, 1]
    data = Folded(members, targets, fold_of_row)
    np.testing.assert_array_equal(data.centred[:, 1], 0)
    assert data.sums(data.folds).size[1] == 0


def test_a_fit_is_done_once_for_each_set_of_folds():
    data = Folded(*folded())
    calls = []

    def fit(given, folds):
        calls.append(folds)
        return given.sums(folds).cross

    assert data.fitted(fit, (0, 1)) is data.fitted(fit, (0, 1))
    data.fitted(fit, (0, 2))
    assert calls == [(0, 1), (0, 2)]
