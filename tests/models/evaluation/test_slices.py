import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.evaluation.slices import FEW, MISSING, scored_slices, slice_rows

columns = st.lists(
    st.one_of(st.none(), st.text("ab ", max_size=3), st.floats(allow_nan=True), st.booleans()),
    max_size=20,
) | st.lists(st.one_of(st.none(), st.floats(-50, 50), st.integers(0, 9)), max_size=30)


@given(values=columns, n_bands=st.integers(1, 5))
def test_every_row_is_in_exactly_one_slice(values, n_bands):
    slices = slice_rows(np.array(values, dtype=object), n_bands)
    n_slices = np.sum(list(slices.values()), axis=0) if slices else np.array([])
    assert (n_slices == 1).all()
    assert np.size(n_slices) == len(values)
    assert all(rows.any() for rows in slices.values())


def rows_by_slice(values, **kwargs):
    return {
        name: np.flatnonzero(rows).tolist() for name, rows in slice_rows(values, **kwargs).items()
    }


def test_categories_stay_as_they_are():
    found = rows_by_slice(["US", None, "SA", "US", " ", float("nan")])
    assert found == {"SA": [2], "US": [0, 3], MISSING: [1, 4, 5]}
    assert list(found) == ["SA", "US", MISSING]


def test_numbers_fall_into_bands_that_occur_in_order():
    assert rows_by_slice([9, 18, 45, 31, 71, 12.5]) == {
        "[9, 18)": [0, 5],
        "[18, 45)": [1, 3],
        "[45, 71]": [2, 4],
    }


def test_numbers_written_as_text_are_numbers():
    values = ["9", "18.0", "", "31", "71", "12.5", "100"]
    assert list(rows_by_slice(values, n_bands=2)) == ["[9, 31)", "[31, 100]", MISSING]
    assert list(rows_by_slice([*values, "old"])) == [
        *sorted(filter(None, [*values, "old"])),
        MISSING,
    ]


@pytest.mark.parametrize(
    ("values", "names"),
    [([0, 1, 1, 0], ["0", "1"]), ([True, False], ["False", "True"]), ([3, None], ["3", MISSING])],
)
def test_few_different_values_are_categories(values, names):
    assert list(slice_rows(np.array(values, dtype=object))) == names


def test_ties_give_fewer_bands_but_not_a_single_one():
    assert list(slice_rows([0] * 4 + [1, 2, 3])) == ["[0, 1)", "[1, 3]"]
    assert list(slice_rows([0] * 9 + [1, 2, 3])) == ["[0, 1)", "[1, 2)", "[2, 3]"]


@pytest.mark.parametrize(
    ("values", "n_bands", "message"), [([[1]], 3, r"shape \(1, 1\)"), ([1], 0, "n_bands is 0")]
)
def test_wrong_arguments_are_named(values, n_bands, message):
    with pytest.raises(ValueError, match=message):
        slice_rows(values, n_bands)


@pytest.fixture
def labelled():
    rng = np.random.default_rng(0)
    return rng.uniform(size=(40, 2)), np.array([f"p{k % 10}" for k in range(40)])


def test_a_slice_is_its_labelled_rows(labelled):
    true, people = labelled
    column = np.where(np.arange(40) % 10 < 5, "x", "y").astype(object)
    column[[0, 10]] = None
    true[5] = np.nan
    found = scored_slices(true, people, slice_rows(column))
    assert {name: int(rows.sum()) for name, rows in found.items()} == {"x": 18, "y": 19, MISSING: 2}
    true[people == "p9"] = np.nan
    others = slice_rows(np.where(people == "p9", "z", "a"))
    assert list(scored_slices(true, people, others)) == ["a"]


def test_slices_of_one_person_are_put_together(labelled):
    true, people = labelled
    slices = slice_rows(np.where(people < "p3", people, "others"))
    found = scored_slices(true, people, slices)
    assert {name: int(rows.sum()) for name, rows in found.items()} == {"others": 28, FEW: 12}


def test_slices_of_other_rows_are_refused(labelled):
    with pytest.raises(ValueError, match="a 3"):
        scored_slices(*labelled, {"a": np.ones(3, bool)})
