from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.evaluation.scores import score_predictions
from models.folds import assign_folds
from models.heads import HEADS, make_head
from models.metrics import mean_pearson
from models.stack import fit_stack, stack_oof
from models.view import FoldedView
from tests.models.small import ENTRIES


def simulated(n_rows=200, n_held=400, n_targets=3, seed=0, strengths=(1.0, 1.0, 0.0)):
    """Members that see one hidden part of the target each, by `strengths`; people share folds."""
    rng = np.random.default_rng(seed)
    n = n_rows + n_held
    parts = rng.normal(size=(n, len(strengths), n_targets))
    y = 0.3 + 0.1 * (np.einsum("nmt,m->nt", parts, strengths) + rng.normal(size=(n, n_targets)))
    members = 5 + 0.2 * (parts + 0.7 * rng.normal(size=parts.shape))
    groups = rng.permutation(np.arange(n_rows) % (n_rows // 5))
    return members, y, groups, assign_folds(groups, 5, seed)


def best_member(members, y, folds=None):
    return max(mean_pearson(y, members[:, m], folds) for m in range(members.shape[1]))


@pytest.mark.parametrize("strengths", [(1.0, 1.0, 0.0), (1.0, 0.6, 0.3), (1.0, 0.0, 0.0)])
def test_the_stack_is_level_with_the_best_member_or_above_it(strengths):
    members, y, _, folds = simulated(n_rows=400, strengths=strengths)
    n = len(folds)
    honest = mean_pearson(y[:n], stack_oof(members[:n], y[:n], folds), folds)
    predicted = fit_stack(members[:n], y[:n], folds).predict(members[n:])
    held = mean_pearson(y[n:], predicted)
    assert honest >= best_member(members[:n], y[:n], folds) - 0.03
    assert held >= best_member(members[n:], y[n:]) - 0.03
    np.testing.assert_allclose(predicted.mean(axis=0), y[n:].mean(axis=0), atol=0.03)
    assert (np.square(y[n:] - predicted).mean(axis=0) < y[n:].var(axis=0)).all()
    backwards = fit_stack(members[:n], -y[:n], folds)
    assert (backwards.slope > 0).all()


def test_shuffled_targets_score_zero_in_every_row():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(240, 30))
    y = rng.permutation(x[:, :3] + rng.normal(size=(240, 3)))
    groups, n = np.arange(240) // 4, 120
    folds = assign_folds(groups[:n], 5, 0)
    view = FoldedView(x[:n], y[:n], groups[:n], folds, x[n:])
    fits = [make_head(ENTRIES[kind], 0).cross_fit(view) for kind in HEADS if kind != "mean"]
    members = np.stack([fit.oof for fit in fits], axis=1)
    held = np.stack([fit.held for fit in fits], axis=1)
    stack = fit_stack(members, y[:n], folds).predict(held)
    rows = np.stack([*members.swapaxes(0, 1), stack_oof(members, y[:n], folds)])
    new = np.stack([*held.swapaxes(0, 1), stack])
    scores = score_predictions(y[:n], rows, groups[:n], 500, 0, folds)
    scores += score_predictions(y[n:], new, groups[n:], 500, 0)
    assert all(each.interval.low <= 0 <= each.interval.high for each in scores)


@pytest.mark.parametrize("n_rows", [72, 400])
@pytest.mark.parametrize("strengths", [(1, 1, 1, 1), (1, 0.7, 0.3), (1, 0, 0), (0, 0), (1, -0.5)])
@pytest.mark.parametrize("gaps", [0.0, 0.6])
def test_the_stack_is_never_worse_than_the_plain_average(n_rows, strengths, gaps):
    members, y, _, folds = simulated(n_rows, 0, 5, 0, strengths)
    y[np.random.default_rng(0).random(y.shape) < gaps] = np.nan
    average = (members / members.std(axis=0)).mean(axis=1)
    stacked = mean_pearson(y, stack_oof(members, y, folds), folds)
    assert stacked >= mean_pearson(y, average, folds) - (0.004 if n_rows > 72 else 0.015)


@settings(deadline=None, max_examples=6)
@given(
    order=st.permutations(range(4)),
    rows=st.permutations(range(120)),
    exponents=st.lists(st.floats(-3, 3), min_size=4, max_size=4),
    offsets=st.lists(st.floats(-5, 5), min_size=4, max_size=4),
    seed=st.integers(0, 9),
)
def test_orders_scale_and_offset_of_members_do_not_matter(order, rows, exponents, offsets, seed):
    members, y, _, folds = simulated(120, 0, 2, seed, (1.0, 0.7, 0.3, 0.0))
    scale, offset = 10.0 ** np.array(exponents)[:, None], np.array(offsets)[:, None]
    moved = (members * scale + offset)[rows][:, order], y[rows], folds[rows]
    expected = stack_oof(members, y, folds)[rows]
    np.testing.assert_allclose(stack_oof(*moved), expected, atol=1e-6)
    before, after = fit_stack(members, y, folds), fit_stack(*moved)
    assert before.method == after.method
    np.testing.assert_allclose(after.member_weights, before.member_weights[:, order], atol=1e-6)


def test_a_fold_is_predicted_by_the_stack_of_the_others_as_new_rows_are():
    members, y, _, folds = simulated(n_held=0)
    members += 0.3 * folds[:, None, None]  # models of the folds differ in mean
    stacked = stack_oof(members, y, folds)
    for fold in range(5):
        own = folds == fold
        stack = fit_stack(members[~own], y[~own], folds[~own])
        np.testing.assert_array_equal(stacked[own], stack.predict(members[own]))


def test_a_constant_member_takes_no_part():
    members, y, _, folds = simulated(n_rows=500, n_held=0)
    members[:, 2] = 0.1 * folds[:, None]  # the mean predictor: one constant per fold
    stack = fit_stack(members, y, folds)
    assert stack.used.tolist() == [True, True, False]
    fewer = stack.without_idle_members()
    moved, expected = np.where([[0], [0], [1]], 77.0, members[:5]), stack.predict(members[:5])
    np.testing.assert_allclose(fewer.predict(members[:5, :2]), expected)
    np.testing.assert_array_equal(stack.predict(moved), expected)
    mean = fit_stack(np.ones_like(members), y, folds)
    assert mean.method == "mean"
    for each, n in ((mean, 3), (mean.without_idle_members(), 1)):
        np.testing.assert_allclose(each.predict(members[:1, :n]), y.mean(axis=0)[None])


def test_members_that_only_rounding_tells_apart_say_the_mean():
    """In the one fold of two rows half of the members say up, half down: nothing is left of it."""
    rng = np.random.default_rng(0)
    up, y = rng.uniform(0.1, 1, size=(6, 4, 1)), rng.uniform(size=(6, 1))
    members, folds = np.concatenate([up, 0.7 - up], axis=1), np.array([4, 0, 1, 0, 3, 2])
    new = fit_stack(members, y, folds).predict(up[:, [0] * 8])
    for predicted in (new, stack_oof(members, y, folds)):
        assert np.abs(predicted - 0.5).max() < 1


def test_missing_predictions_and_members_and_other_shapes_are_refused():
    members, y, _, folds = simulated(n_held=0)
    stack = fit_stack(members, y, folds)
    assert "3 members, 3 targets" in repr(stack)
    with pytest.raises(ValueError, match=r"slope \(2,\).*do not fit center"):
        replace(stack, slope=stack.slope[:2])
    with pytest.raises(ValueError, match="2 members and 3 targets, the stack 3 and 3"):
        stack.predict(members[:, :2])
    with pytest.raises(ValueError, match="lack 1 predictions"):
        stack_oof(np.where(members > members.min(), members, np.nan), y, folds)


def test_a_target_of_one_fold_is_averaged_and_one_without_labels_cannot_be_said():
    members, y, _, folds = simulated(n_held=0)
    y[folds != 0, 2], y[:, 1] = np.nan, np.nan
    members[folds == 0, :, 2], members[:, :, 1] = np.nan, np.nan  # as heads predict them
    oof = stack_oof(members, y, folds)
    assert np.isfinite(oof[:, 0]).all()
    assert np.isnan(oof).sum(axis=0).tolist() == [0, len(y), (folds == 0).sum()]
    new = np.random.default_rng(0).normal(size=(5, 3, 3))
    predicted = fit_stack(members, y, folds).predict(np.where([0, 1, 0], np.nan, new))
    np.testing.assert_allclose(predicted[:, 2], new[:, :, 2].mean(axis=1))
    assert np.isnan(predicted[:, 1]).all()
