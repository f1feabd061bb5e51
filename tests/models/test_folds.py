import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.folds import MOST_INNER_FOLDS, assign_folds, check_folds, inner_folds

people = st.lists(st.sampled_from("abcdefghijkl"), min_size=6, max_size=60).filter(
    lambda names: len(set(names)) >= 4
)


def profiles(names, n_targets, seed):
    """Targets that differ from person to person, some unlabelled."""
    rng = np.random.default_rng(seed)
    people, codes = np.unique(names, return_inverse=True)
    y = rng.normal(size=(len(people), n_targets))[codes] + rng.normal(size=(len(names), n_targets))
    y[rng.random(y.shape) < 0.2] = np.nan
    return y


@settings(deadline=None, max_examples=60)
@given(
    names=people,
    n_folds=st.integers(2, 4),
    n_targets=st.integers(0, 3),
    seed=st.integers(0, 99),
    order=st.randoms(),
)
def test_folds_keep_people_whole_and_do_not_depend_on_row_order(
    names, n_folds, n_targets, seed, order
):
    targets = profiles(names, n_targets, seed) if n_targets else None
    folds = assign_folds(names, n_folds, seed, targets)
    check_folds(names, folds)
    fold_of_person = dict(zip(names, folds, strict=True))
    n_people = np.bincount(list(fold_of_person.values()), minlength=n_folds)
    assert n_people.min() >= 1
    assert np.ptp(n_people) <= 1
    shuffled = order.sample(range(len(names)), len(names))
    moved = None if targets is None else targets[shuffled]
    as_objects = np.array(names, dtype=object)[shuffled]
    again = assign_folds(as_objects, n_folds, seed, moved)
    assert list(folds[shuffled]) == list(again)


def spread_between_folds(fold_of_row, y):
    """The largest distance between fold means, in standard deviations, and that of sizes."""
    folds = [fold_of_row == fold for fold in np.unique(fold_of_row)]
    means = np.array([np.nanmean(y[rows], axis=0) for rows in folds]) / np.nanstd(y, axis=0)
    sizes = np.array([rows.sum() for rows in folds])
    return np.ptp(means, axis=0).max(), sizes.max() / sizes.min()


@pytest.mark.parametrize(("n_people", "times_closer"), [(60, 3), (300, 10)])
def test_stratified_folds_are_alike_whatever_other_targets_say(n_people, times_closer):
    ratios, sizes = [], []
    for seed in range(5):
        groups = np.repeat(
            np.arange(n_people), np.random.default_rng(seed).integers(1, 20, n_people)
        )
        y = profiles(groups, 7, seed)
        plain, plain_size = spread_between_folds(assign_folds(groups, 5, seed), y)
        padded = np.column_stack([y, np.full(len(y), 0.3), np.full(len(y), np.nan)])
        alike, size = spread_between_folds(assign_folds(groups, 5, seed, padded), y)
        ratios.append(plain / alike)
        assert size < plain_size
        sizes.append(size)
    assert np.mean(ratios) > times_closer
    assert np.mean(sizes) < 1.1


def test_the_seed_matters_and_scale_and_offset_of_targets_do_not():
    groups = np.repeat(np.arange(30), 3)
    y = profiles(groups, 2, 0)
    folds = assign_folds(groups, 5, 0, y)
    assert np.array_equal(folds, assign_folds(groups, 5, 0, y * [8, 0.25] + [0, 1]))
    assert not np.array_equal(folds, assign_folds(groups, 5, 1, y))
    assert not np.array_equal(assign_folds(groups, 5, 0), assign_folds(groups, 5, 1))


@pytest.mark.parametrize(
    ("groups", "n_folds", "targets", "message"),
    [
        ("abc", 2, np.zeros((2, 1)), "groups 3, targets 2"),
        ("abca", 5, None, "3 groups in 4 rows.*5 folds.*at most 3"),
        (["a", None, "b"], 2, None, r"1 of 3 rows have no group \(first: row 1\)"),
        (["a", float("nan"), "b"], 2, None, r"1 of 3 rows have no group \(first: row 1\)"),
        ("ab", 1, None, "n_folds is 1"),
    ],
)
def test_what_cannot_be_dealt_is_refused_by_name(groups, n_folds, targets, message):
    with pytest.raises(ValueError, match=message):
        assign_folds(np.array(list(groups), dtype=object), n_folds, 0, targets)
    with pytest.raises(ValueError, match=r"1 groups lie in more than one fold.*'b'"):
        check_folds(["a", "b", "b", "c"], np.array([0, 0, 1, 1]))


@pytest.mark.parametrize(("n_groups", "n_folds"), [(MOST_INNER_FOLDS,) * 2, (50, 5)])
def test_few_groups_are_inner_folds_of_their_own(n_groups, n_folds):
    assert len(np.unique(inner_folds(np.repeat(np.arange(n_groups), 3), 0))) == n_folds
