import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.stack.weights import FoldedMembers


def folded(n_rows=60, n_members=3, n_targets=2, seed=0, gaps=0.0):
    rng = np.random.default_rng(seed)
    members = rng.normal(size=(n_rows, n_members, n_targets))
    targets = members.mean(axis=1) + rng.normal(size=(n_rows, n_targets))
    targets[rng.random(targets.shape) < gaps] = np.nan
    return members, targets, np.arange(n_rows) % 4


def centred_rows(data, targets, target, without):
    """Inputs and labels of the labelled rows, centred inside each fold by a plain loop."""
    inputs, labels = [], []
    for number, fold in enumerate(data.folds):
        rows = fold & ~np.isnan(targets[:, target])
        if rows.any() and number != without:
            own = data.z_scores[rows, :, target]
            inputs.append(own - own.mean(axis=0))
            labels.append(targets[rows, target] - targets[rows, target].mean())
    return np.concatenate(inputs), np.concatenate(labels)


@settings(deadline=None, max_examples=25)
@given(
    n_rows=st.integers(8, 60),
    n_members=st.integers(1, 4),
    n_targets=st.integers(1, 4),
    gaps=st.sampled_from([0.0, 0.3, 0.7]),
    without=st.sampled_from([None, 2]),
    seed=st.integers(0, 99),
)
def test_sums_are_those_of_a_plain_loop(n_rows, n_members, n_targets, gaps, without, seed):
    members, targets, fold_of_row = folded(n_rows, n_members, n_targets, seed, gaps)
    targets[:2] = 0.5  # at least one label for each target
    data = FoldedMembers(members, targets, fold_of_row)
    sums = data.sums(without)
    weights = np.random.default_rng(seed).normal(size=sums.cross.shape)
    variation = sums.variation(weights)
    for target in range(n_targets):
        x, y = centred_rows(data, targets, target, without)
        assert sums.n_rows[target] == len(y)
        np.testing.assert_allclose(sums.gram[target], x.T @ x, atol=1e-9)
        np.testing.assert_allclose(sums.cross[target], y @ x, atol=1e-9)
        assert sums.size[target] == pytest.approx(y @ y, abs=1e-9)
        combined = x @ weights[target]
        assert variation[target] == pytest.approx(combined @ combined, abs=1e-8)


def test_what_only_rounding_varies_is_zero():
    members, targets, fold_of_row = folded(n_members=2)
    members[:, 0] = 1e6 + 1e-9 * members[:, 0]
    targets[:, 1] = 0.1 + 1e-12 * targets[:, 1]
    data = FoldedMembers(members, targets, fold_of_row)
    np.testing.assert_array_equal(data.z_scores[:, 0], 0)
    np.testing.assert_array_equal(data.centred[:, 1], 0)
    assert data.sums().size[1] == 0
    members[:, 1] = -members[:, 0]
    opposite = FoldedMembers(np.stack([targets, -targets], axis=1), targets, fold_of_row).sums()
    np.testing.assert_array_equal(opposite.variation(np.full((2, 2), 0.5)), 0)
