import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.folds import assign_folds, check_folds

people = st.lists(st.sampled_from("abcdefghijkl"), min_size=6, max_size=60).filter(
    lambda names: len(set(names)) >= 4
)


@settings(deadline=None, max_examples=50)
@given(names=people, n_folds=st.integers(2, 4), seed=st.integers(0, 99), order=st.randoms())
def test_folds_keep_people_whole_and_do_not_depend_on_row_order(names, n_folds, seed, order):
    folds = assign_folds(names, n_folds, seed)
    fold_of_person = dict(zip(names, folds, strict=True))
    assert [fold_of_person[name] for name in names] == list(folds)
    assert set(folds) == set(range(n_folds))
    shuffled = order.sample(names, len(names))
    assert [fold_of_person[name] for name in shuffled] == list(
        assign_folds(shuffled, n_folds, seed)
    )


def test_another_seed_gives_other_folds():
    groups = np.arange(40)
    assert not np.array_equal(assign_folds(groups, 5, 0), assign_folds(groups, 5, 1))


def test_object_and_text_groups_fold_alike():
    names = ["b", "a", "c", "b", "d"]
    as_objects = np.array(names, dtype=object)
    assert np.array_equal(assign_folds(names, 2, 3), assign_folds(as_objects, 2, 3))


def test_too_few_groups_name_the_numbers_and_the_fix():
    with pytest.raises(ValueError, match=r"3 groups in 4 rows.*5 folds.*at most 3"):
        assign_folds(["a", "b", "c", "a"], 5, 0)


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_a_row_without_a_group_is_refused(missing):
    groups = np.array(["a", missing, "b"], dtype=object)
    with pytest.raises(ValueError, match=r"1 of 3 rows have no group \(first: row 1\)"):
        assign_folds(groups, 2, 0)


def test_a_single_fold_is_refused():
    with pytest.raises(ValueError, match="n_folds is 1"):
        assign_folds(["a", "b"], 1, 0)


def test_check_folds_names_a_person_in_two_folds():
    with pytest.raises(ValueError, match=r"1 groups lie in more than one fold.*'b'"):
        check_folds(["a", "b", "b", "c"], np.array([0, 0, 1, 1]))


def test_check_folds_accepts_assigned_folds():
    groups = ["a", "b", "b", "c"]
    check_folds(groups, assign_folds(groups, 3, 0))
