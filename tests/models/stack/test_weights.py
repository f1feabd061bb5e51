import numpy as np
import pytest
from scipy.optimize import nnls

from models.stack import weights as stack_weights
from models.stack.weights import FoldedMembers, choose_share, fit_weights


def folded(strengths, n_rows=400, n_targets=3, n_folds=5, gaps=0.0):
    """Members that see the target by their strengths, the same for all targets or not."""
    rng, strengths = np.random.default_rng(0), np.array(strengths)
    strengths = strengths if strengths.ndim > 1 else strengths[:, None]
    signal = rng.normal(size=(n_rows, n_targets))
    noise = rng.normal(size=(n_rows, len(strengths), n_targets))
    members = strengths * signal[:, None] + noise
    targets = signal + rng.normal(size=signal.shape)
    targets[rng.random(targets.shape) < gaps] = np.nan
    return FoldedMembers(members, targets, np.arange(n_rows) % n_folds)


def shares(weights):
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("strengths", [(1, 1, 1, 1), (0, 0, 0)], ids=["equal", "useless"])
@pytest.mark.parametrize("n_rows", [72, 400, 2_000])
def test_the_average_stays_where_nothing_beats_it(strengths, n_rows):
    assert choose_share(folded(strengths, n_rows)) == 0
    assert choose_share(folded(strengths, n_rows, n_folds=1)) == 0  # nothing can be told


def test_the_share_grows_with_the_evidence():
    specialists = ((1, 1, 0.5), (0.5, 0.5, 1))
    found = [choose_share(folded(specialists, n)) for n in (60, 500, 5_000)]
    assert found[0] == 0
    assert found == sorted(found)
    assert found[2] > 0.9


def pulled(x, y, center):
    """Least squares of rows, and of further rows that ask for the center in its best scale."""
    total, size = x @ center, np.sqrt(stack_weights.PRIOR_ROWS)
    expected = max(total @ y / (total @ total), 0) * center
    return nnls(np.vstack([x, size * np.eye(len(center))]), np.append(y, size * expected))[0]


@pytest.mark.parametrize("without", [None, 2])
@pytest.mark.parametrize("gaps", [0.0, 0.4])
def test_weights_are_those_of_the_rows_with_the_prior_as_further_rows(gaps, without):
    data = folded((0.2, 0.5, 1.0), n_rows=1_200, gaps=gaps)
    found, average = (shares(fit_weights(data.sums(without), share)) for share in (1.0, 0.0))
    inputs, labels = [], []
    for target in range(3):
        rows = [r & data.labelled[:, target] for k, r in enumerate(data.folds) if k != without]
        parts = [data.z_scores[each, :, target] for each in rows]
        inputs.append(np.concatenate([part - part.mean(axis=0) for part in parts]))
        labels.append(np.concatenate([data.centred[each, target] for each in rows]))
        labels[-1] /= np.sqrt(np.mean(np.square(labels[-1])))
    shared = pulled(np.concatenate(inputs), np.concatenate(labels), average[0])
    expected = [pulled(x, y, shared) for x, y in zip(inputs, labels, strict=True)]
    np.testing.assert_allclose(found, shares(np.stack(expected)), atol=1e-9)


def test_the_average_is_by_skill():
    data = folded((1.0, 0.5, -0.5), n_rows=2_000)
    found = fit_weights(data.sums(), 0.0)
    r = [
        np.mean([np.corrcoef(data.z_scores[:, m, t], data.centred[:, t])[0, 1] for t in range(3)])
        for m in range(3)
    ]
    skill = np.square(np.maximum(r, 0)) + stack_weights.FEW_ROWS / 1_988
    np.testing.assert_allclose(found, np.tile(skill / skill.sum(), (3, 1)), atol=0.01)
    few = fit_weights(folded((1.0, 0.0), n_rows=20).sums(), 0.0)
    assert few.min() > 0.2


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_all_combinations_vary_alike_and_the_share_mixes(share):
    sums = folded((1, 0.5, 0.0)).sums()
    fitted, average = fit_weights(sums, 1.0), fit_weights(sums, 0.0)
    mixed = fit_weights(sums, share)
    np.testing.assert_allclose(sums.variation(mixed), sums.variation(average))
    np.testing.assert_allclose(shares(mixed), shares(share * fitted + (1 - share) * average))


def test_members_that_cancel_out_are_told_apart():
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(300, 1))
    members = np.stack([signal, -signal], axis=1)
    data = FoldedMembers(members, signal + rng.normal(size=signal.shape), np.arange(300) % 5)
    np.testing.assert_allclose(shares(fit_weights(data.sums(), 1.0)), [[1, 0]], atol=0.1)


def test_what_only_rounding_varies_is_zero():
    rng, fold_of_row = np.random.default_rng(0), np.arange(60) % 4
    members, targets = rng.normal(size=(60, 2, 2)), rng.normal(size=(60, 2))
    members[:, 0] = 1e6 + 1e-9 * members[:, 0]
    targets[:, 1] = 0.1 + 1e-12 * targets[:, 1]
    data = FoldedMembers(members, targets, fold_of_row)
    np.testing.assert_array_equal(data.z_scores[:, 0], 0)
    np.testing.assert_array_equal(data.centred[:, 1], 0)
    assert data.sums().size[1] == 0
    members[:, 1] = -members[:, 0]
    opposite = FoldedMembers(np.stack([targets, -targets], axis=1), targets, fold_of_row).sums()
    np.testing.assert_array_equal(opposite.variation(np.full((2, 2), 0.5)), 0)
