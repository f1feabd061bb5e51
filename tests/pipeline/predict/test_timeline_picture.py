from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.predict.timeline_picture import timeline_svg

SVG = "{http://www.w3.org/2000/svg}"


def drawn(title, **columns):
    root = ElementTree.fromstring(timeline_svg(title, pd.DataFrame(columns)))
    assert root.tag == f"{SVG}svg"
    return root


def test_every_target_has_a_strip_and_every_window_a_point():
    root = drawn("clip", time_s=[1.0, 2.0, 3.0], joy=[0.1, 0.5, 0.2], fear=[0.0, 0.0, 1.0])
    assert [e.text for e in root.iter(f"{SVG}text") if e.get("class") == "name"] == ["joy", "fear"]
    heights = [float(e.get("cy")) for e in root.iter(f"{SVG}circle")]
    assert len(heights) == 6
    assert heights[1] == min(heights[:3])  # higher is more
    assert heights[5] == min(heights[3:])


def test_a_gap_breaks_the_line():
    root = drawn("clip", time_s=np.arange(5.0), joy=[1, 2, np.nan, 3, 4])
    (line,) = (e for e in root.iter(f"{SVG}path") if e.get("class") == "line")
    assert [c for c in line.get("d") if c.isalpha()] == list("MLML")


@pytest.mark.parametrize("title", ["<script>alert(1)</script>", 'a"b&c', "ünï"])
def test_names_are_text(title):
    root = drawn(title, time_s=[1.0], **{title: [0.5]})
    assert next(root.iter(f"{SVG}title")).text == title
    assert not list(root.iter(f"{SVG}script"))


@given(st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(float("nan"))), min_size=1, max_size=20))
def test_any_numbers_give_a_picture_within_its_borders(values):
    values[0] = 0.0
    root = drawn("clip", time_s=np.arange(float(len(values))), joy=values)
    height = float(root.get("height"))
    points = list(root.iter(f"{SVG}circle"))
    assert len(points) == np.isfinite(values).sum()
    assert all(0 <= float(e.get("cy")) <= height for e in points)
