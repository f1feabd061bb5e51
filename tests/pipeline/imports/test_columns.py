import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.imports.columns import guess_feature_columns, time_unit, to_numbers


@pytest.mark.parametrize(
    ("cells", "values", "wrong"),
    [
        (["0,5", ",25", "NaN", None, " 1"], [0.5, 0.25, None, None, 1], []),
        (["0.5", "0,5"], [0.5, None], [1]),
        (["1e3", "-inf", "x", "1_0"], [1000, -np.inf, None, None], [2, 3]),
        (["1,234.5", "2"], [1234.5, 2], []),
        (["1.234,5", "2,5"], [1234.5, 2.5], []),
        (["50%", "3 %", "x"], [0.5, 0.03, None], [2]),
        (["0,5", "O.4", "ja", "0,25"], [0.5, None, None, 0.25], [1, 2]),
        (["n.a.", ".", "--", "#DIV/0!", "-nan(ind)", "1.#IND", "missing"], [None] * 7, []),
        (["NA", "n/a", "null", "None", "-", "?", "", "#N/A", "<NA>"], [None] * 9, []),
        ([1, 2.5, None], [1, 2.5, None], []),
        ([], [], []),
    ],
)
def test_numbers_with_points_or_commas_but_not_both(cells, values, wrong):
    values_read, wrong_read = to_numbers(cells)
    assert np.array_equal(values_read, np.array(values, float), equal_nan=True)
    assert np.flatnonzero(wrong_read).tolist() == wrong


def test_columns_are_told_apart_by_their_names():
    columns = guess_feature_columns(["frame", " timestamp", "face_id", "AU01_r", "time"], "x")
    assert (columns.id, columns.time, columns.face) == (None, " timestamp", "face_id")
    assert columns.left_out == ["frame"]
    assert columns.features == ["AU01_r", "time"]


@settings(max_examples=30)
@given(step_s=st.floats(0.01, 5), unit=st.sampled_from(["ms", "s"]))
def test_the_unit_of_times_is_told_by_their_steps(step_s, unit):
    steps = np.full(5, step_s * (1000 if unit == "ms" else 1))
    assert time_unit("timestamp", steps) == (unit, 0.001 if unit == "ms" else 1)
    assert time_unit("time_ms", steps) == ("ms", 0.001)
    assert time_unit("time_s", steps) == ("s", 1)
