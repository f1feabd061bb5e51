import numpy as np
import pytest

from models.bootstrap import bootstrap_interval
from models.folds import assign_folds
from models.heads import make_head
from models.metrics import mean_pearson
from models.oof import cross_fit
from models.stack import fit_stack, stack_oof


def simulated(n_rows=200, n_held=400, n_targets=3, seed=0, strengths=(1.0, 1.0, 0.0)):
    """Members that see one hidden part of the target each, by `strengths`; people share folds."""
    rng = np.random.default_rng(seed)
    n = n_rows + n_held
    parts = rng.normal(size=(n, len(strengths), n_targets))
    y = 0.3 + 0.1 * (np.einsum("nmt,m->nt", parts, strengths) + rng.normal(size=(n, n_targets)))
    members = 5 + 0.2 * (parts + 0.7 * rng.normal(size=parts.shape))
    groups = rng.permutation(np.arange(n_rows) % (n_rows // 5))
    return members, y, groups, assign_folds(groups, 5, seed)


def best_member(members, y):
    return max(mean_pearson(y, members[:, m]) for m in range(members.shape[1]))


@pytest.mark.parametrize("strengths", [(1.0, 1.0, 0.0), (1.0, 0.6, 0.3), (1.0, 0.0, 0.0)])
def test_the_stack_is_level_with_the_best_member_or_above_it(strengths):
    members, y, _, folds = simulated(strengths=strengths)
    n = len(folds)
    honest = mean_pearson(y[:n], stack_oof(members[:n], y[:n], folds))
    held = mean_pearson(y[n:], fit_stack(members[:n], y[:n], folds).predict(members[n:]))
    assert honest >= best_member(members[:n], y[:n]) - 0.03
    assert held >= best_member(members[n:], y[n:]) - 0.03


def test_signal_split_over_members_beats_each():
    members, y, _, folds = simulated()
    n = len(folds)
    stacked = fit_stack(members[:n], y[:n], folds).predict(members[n:])
    assert mean_pearson(y[n:], stacked) > best_member(members[n:], y[n:]) + 0.05


@pytest.mark.parametrize("seed", range(3))
def test_shuffled_targets_score_zero_within_the_interval(seed):
    members, y, groups, folds = simulated(n_held=0, seed=seed)
    shuffled = np.random.default_rng(seed).permutation(y)
    stacked = stack_oof(members, shuffled, folds)
    interval = bootstrap_interval(shuffled, stacked, groups, 500, 0)
    assert interval.low <= 0 <= interval.high


def test_shuffled_targets_score_zero_through_heads_and_stack():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(240, 30))
    y = rng.permutation(x[:, :3] + rng.normal(size=(240, 3)))
    groups = np.arange(240) // 4
    folds = assign_folds(groups[:120], 5, 0)
    heads = [make_head("ridge", {}, 0), make_head("lightgbm", {"n_rounds": 30}, 0)]
    fits = [cross_fit(head, x[:120], y[:120], groups[:120], folds, x[120:]) for head in heads]
    members = np.stack([fit.oof for fit in fits], axis=1)
    held_members = np.stack([fit.held for fit in fits], axis=1)
    held = fit_stack(members, y[:120], folds).predict(held_members)
    for true, predicted, people in (
        (y[:120], stack_oof(members, y[:120], folds), groups[:120]),
        (y[120:], held, groups[120:]),
    ):
        interval = bootstrap_interval(true, predicted, people, 500, 0)
        assert interval.low <= 0 <= interval.high


def test_without_signal_the_honest_score_is_centred_on_zero():
    scores = []
    for seed in range(30):
        members, y, _, folds = simulated(n_rows=60, n_held=0, seed=seed, strengths=(0, 0, 0, 0))
        scores.append(mean_pearson(y, stack_oof(members, y, folds)))
    assert abs(np.mean(scores)) < 0.04


def test_few_rows_of_equal_members_keep_the_plain_average():
    members, y, _, folds = simulated(n_rows=60, strengths=(1.0, 1.0, 1.0))
    stack = fit_stack(members[:60], y[:60], folds)
    assert stack.method == "average"
    np.testing.assert_array_equal(stack.weights, 1 / 3)


def test_a_useless_member_loses_its_weight():
    members, y, _, folds = simulated(n_rows=500)
    stack = fit_stack(members[:500], y[:500], folds)
    assert stack.method == "weighted"
    assert (stack.weights[:, 2] < 0.15).all()
    np.testing.assert_allclose(stack.weights.sum(axis=1), 1)


def test_predictions_are_in_target_units():
    members, y, _, folds = simulated(n_rows=500)
    stacked = fit_stack(members[:500], y[:500], folds).predict(members[500:])
    np.testing.assert_allclose(stacked.mean(axis=0), y[500:].mean(axis=0), atol=0.02)
    residual = np.square(y[500:] - stacked).mean(axis=0)
    assert (residual < y[500:].var(axis=0)).all()


def test_no_label_of_a_fold_reaches_its_own_predictions():
    members, y, _, folds = simulated(n_held=0)
    changed = y.copy()
    changed[folds == 2] = 9.0
    before, after = (stack_oof(members, targets, folds) for targets in (y, changed))
    # All rows share one offset and one positive slope, which no correlation can see.
    for own, rows in ((True, folds == 2), (False, folds != 2)):
        r = np.corrcoef(before[rows, 0], after[rows, 0])[0, 1]
        assert (r == pytest.approx(1, abs=1e-12)) == own


def test_means_of_folds_and_scales_of_members_do_not_matter():
    members, y, _, folds = simulated(n_held=0)
    moved = members * np.array([1.0, 50.0, 0.02])[:, None] + 3.0 * folds[:, None, None]
    np.testing.assert_allclose(stack_oof(moved, y, folds), stack_oof(members, y, folds), rtol=1e-6)


def test_a_constant_member_takes_no_part():
    members, y, _, folds = simulated(n_held=0)
    members[:, 2] = 0.1 * folds[:, None]  # the mean predictor: one constant per fold
    stack = fit_stack(members, y, folds)
    np.testing.assert_array_equal(stack.scale[2], 0)
    elsewhere = members[:5].copy()
    elsewhere[:, 2] = 77.0
    np.testing.assert_array_equal(stack.predict(elsewhere), stack.predict(members[:5]))


def test_all_members_constant_predict_the_mean():
    members, y, _, folds = simulated(n_held=0)
    stack = fit_stack(np.ones_like(members), y, folds)
    np.testing.assert_allclose(stack.predict(members[:2]), np.tile(y.mean(axis=0), (2, 1)))


def test_each_target_uses_its_own_labelled_rows():
    members, y, _, folds = simulated(n_held=0)
    gaps = y.copy()
    gaps[::3, 1] = np.nan
    rows = ~np.isnan(gaps[:, 1])
    stack = fit_stack(members, gaps, folds)
    combined = np.einsum("nmt,tm->nt", (members - stack.center) / stack.scale, stack.weights)
    assert np.isfinite(stack_oof(members, gaps, folds)).all()
    # Centres differ a little between folds, so the line through the labelled rows is near the fit.
    slope = np.polyfit(combined[rows, 1], y[rows, 1], 1)[0]
    assert stack.slope[1] == pytest.approx(slope, rel=0.05)


def test_a_target_labelled_in_one_fold_is_refused():
    members, y, _, folds = simulated(n_held=0)
    y[folds != 0, 2] = np.nan
    with pytest.raises(ValueError, match="target column 2 is labelled in 1 folds"):
        fit_stack(members, y, folds)


def test_missing_predictions_are_refused():
    members, y, _, folds = simulated(n_held=0)
    members[3, 1, 0] = np.nan
    with pytest.raises(ValueError, match="NaN or infinite"):
        stack_oof(members, y, folds)


def test_other_members_than_in_the_fit_are_refused():
    members, y, _, folds = simulated(n_held=0)
    with pytest.raises(ValueError, match="2 members and 3 targets, the stack 3 and 3"):
        fit_stack(members, y, folds).predict(members[:, :2])
