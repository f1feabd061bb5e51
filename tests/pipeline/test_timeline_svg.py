from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.predict_command import timeline_svg

SVG = "{http://www.w3.org/2000/svg}"


def drawn(title, **columns):
    root = ElementTree.fromstring(timeline_svg(title, pd.DataFrame(columns)))
    assert root.tag == f"{SVG}svg"
    return root


def marks(root, kind):
    """Paths of lines or of points."""
    groups = (e for e in root.iter(f"{SVG}g") if f"mark-{kind}" in e.get("class", ""))
    return [path for group in groups for path in group.iter(f"{SVG}path")]


def heights(root):
    places = [e.get("transform").removeprefix("translate(") for e in marks(root, "symbol")]
    return [float(place.rstrip(")").split(",")[1]) for place in places]


def test_every_target_has_a_strip_in_its_order_and_every_window_a_point():
    root = drawn("clip", time_s=[1.0, 2.0, 3.0], joy=[0.1, 0.5, 0.2], fear=[0.0, 0.0, 1.0])
    texts = [e.text for e in root.iter(f"{SVG}text")]
    assert [text for text in texts if text in ("joy", "fear")] == ["joy", "fear"]
    found = heights(root)
    assert len(found) == 6
    assert found[1] == min(found[:3])  # higher is more
    assert found[5] == min(found[3:])


def test_a_gap_breaks_the_line():
    (line,) = marks(drawn("clip", time_s=np.arange(5.0), joy=[1, 2, np.nan, 3, 4]), "line")
    assert [c for c in line.get("d") if c.isalpha()] == list("MLML")


@pytest.mark.parametrize("title", ["<script>alert(1)</script>", 'a"b&c', "ünï"])
def test_names_are_text(title):
    root = drawn(title, time_s=[1.0], **{title: [0.5]})
    assert [e.text for e in root.iter(f"{SVG}text")].count(title) == 2
    assert not list(root.iter(f"{SVG}script"))


@settings(max_examples=20)
@given(st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(float("nan"))), min_size=1, max_size=20))
def test_any_numbers_give_a_picture_within_its_borders(values):
    values[0] = 0.0
    found = heights(drawn("clip", time_s=np.arange(float(len(values))), joy=values))
    assert len(found) == np.isfinite(values).sum()
    assert all(0 <= each <= 56 for each in found)
