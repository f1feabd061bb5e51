import numpy as np
import pandas as pd
import pytest

from pipeline.dialects import to_numbers, to_times


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
        (
            ["\N{MINUS SIGN}0.5", "\uff10.\uff15", "\u0663", '="0.25"', "'3"],
            [-0.5, 0.5, 3, 0.25, 3],
            [],
        ),
        (["1 234,5", "2\u202f000", "3,5", "1'000'000"], [1234.5, 2000, 3.5, 1e6], []),
        (["'0.5'", "'-1'"], [0.5, -1], []),
        (["3 12", "3 - agree", "1/5"], [None] * 3, [0, 1, 2]),
        ([1, 2.5, None], [1, 2.5, None], []),
        ([], [], []),
    ],
)
def test_numbers_with_points_or_commas_but_not_both(cells, values, wrong):
    values_read, wrong_read = to_numbers(cells)
    assert np.array_equal(values_read, np.array(values, float), equal_nan=True)
    assert np.flatnonzero(wrong_read).tolist() == wrong


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["00:01:02,5", "1:02.5", "0 days 00:01:02.5"], ([62.5] * 3, True)),
        (["0,5", "62,5"], ([0.5, 62.5], False)),
    ],
)
def test_times_on_a_clock_are_seconds(cells, expected):
    times, are_seconds = to_times(pd.Series(cells))
    assert (times.tolist(), are_seconds) == expected
