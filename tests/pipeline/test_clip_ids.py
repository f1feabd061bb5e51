import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.clip_ids import canonical_id, match_ids


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[00017]", "17"),
        ("train/mp4/00017.MP4", "17"),
        (" 17 ", "17"),
        ("Clip_007", "clip_7"),
        ("v1.5", "v1.5"),
        ("00000", "0"),
        ("100", "100"),
    ],
)
def test_what_differs_between_files_is_left_out(text, expected):
    assert canonical_id(text) == expected
    assert canonical_id(expected) == expected


@given(st.lists(st.integers(0, 10**6), unique=True), st.integers(0, 8))
def test_ids_of_numbers_match_however_they_are_written(numbers, width):
    wanted = [f"[{number:05d}]" for number in numbers]
    have = [f"{number:0{width}d}.csv" for number in numbers]
    matches = match_ids(wanted, have)
    assert matches.found == dict(zip(have, wanted, strict=True))
    assert (matches.missing, matches.unknown, matches.ambiguous) == ([], [], [])


def test_equal_ids_match_before_alike_ones():
    matches = match_ids(["1", "01", "x"], ["01", "1", "y"])
    assert matches.found == {"1": "1", "01": "01"}
    assert (matches.missing, matches.unknown, matches.ambiguous) == (["x"], ["y"], [])


@pytest.mark.parametrize(
    ("wanted", "have"), [(["1", "01"], ["001"]), (["[1]"], ["1", "01"]), (["1"], ["1", "01"])]
)
def test_ids_that_cannot_be_told_apart_are_said(wanted, have):
    assert match_ids(wanted, have).ambiguous == [(have, wanted)]
