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


TEXT = ["9", "18.0", "", "31", "71", "12.5", "100"]


@pytest.mark.parametrize(
    ("values", "n_bands", "expected"),
    [
        # Categories stay as they are.
        (["US", None, "SA", "US", " ", np.nan], 3, {"SA": [2], "US": [0, 3], MISSING: [1, 4, 5]}),
        ([True, False], 3, {"False": [1], "True": [0]}),
        # Numbers fall into bands whose ends occur among them, also when written as text.
        ([9, 18, 45, 31, 71, 12.5], 3, {"[9, 18)": [0, 5], "[18, 45)": [1, 3], "[45, 71]": [2, 4]}),
        (TEXT, 2, {"[9, 31)": [0, 1, 5], "[31, 100]": [3, 4, 6], MISSING: [2]}),
        (["9", "18.0", "old"], 1, {"18.0": [1], "9": [0], "old": [2]}),
        # Few different ones are categories.
        ([0, 1, 1, 0], 3, {"0": [0, 3], "1": [1, 2]}),
        ([3, None], 3, {"3": [0], MISSING: [1]}),
        # Ties give fewer bands, but not a single one.
        ([0] * 4 + [1, 2, 3], 3, {"[0, 1)": [0, 1, 2, 3], "[1, 3]": [4, 5, 6]}),
        ([1, 2, *[0] * 9, 3], 3, {"[0, 1)": [*range(2, 11)], "[1, 2)": [0], "[2, 3]": [1, 11]}),
    ],
)
def test_slices_have_names_in_order(values, n_bands, expected):
    found = slice_rows(np.array(values, dtype=object), n_bands)
    assert {name: np.flatnonzero(rows).tolist() for name, rows in found.items()} == expected
    assert list(found) == list(expected)


def test_a_slice_is_its_labelled_rows_and_those_of_one_person_are_put_together():
    true, people = np.ones((40, 2)), np.array([f"p{k % 10}" for k in range(40)])
    column = np.where(people < "p3", people, "others").astype(object)
    column[[3, 4]], true[5] = None, np.nan
    found = scored_slices(true, people, slice_rows(column))
    sizes = {name: int(rows.sum()) for name, rows in found.items()}
    assert sizes == {"others": 25, MISSING: 2, FEW: 12}
    true[people == "p9"] = np.nan
    others = slice_rows(np.where(people == "p9", "z", "a"))
    assert list(scored_slices(true, people, others)) == ["a"]
