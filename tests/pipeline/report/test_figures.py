from xml.etree import ElementTree

import pandas as pd

from pipeline.report.figures import Plot, draw, render_svg

LABELS = {"x": "value", "y": "row", "x_label": "Pearson", "y_label": "row", "title": "Scores"}
SCORES = pd.DataFrame(
    [["stack", "0.5", "0.4", "0.6"], ["</svg><script>alert(1)</script>", "0.1", "", ""]],
    columns=["row", "value", "ci95_low", "ci95_high"],
)
PLOT = Plot(template="intervals", table=None, **LABELS)


def test_the_same_table_gives_the_same_drawing_which_refers_to_nothing():
    svg = render_svg("intervals", SCORES, **LABELS)
    assert svg == render_svg("intervals", SCORES, **LABELS)
    assert "http" not in svg.replace("http://www.w3.org/", "")
    texts = [each.text for each in ElementTree.fromstring(svg).iter() if each.text]
    assert {"stack", "Pearson", "Scores"} <= set(texts)


def test_names_are_escaped_and_missing_numbers_not_drawn():
    drawn = draw(PLOT, SCORES)
    assert "<script" not in drawn
    root = ElementTree.fromstring(drawn)
    assert "stack: 0.5 [0.4, 0.6]" in root.get("aria-label")
    assert not any("NaN" in value for each in root.iter() for value in each.attrib.values())


def test_what_is_no_list_of_estimates_is_summed_up():
    plot = Plot("scatter_by_target", None, "prediction", "label", "said", "felt", "Both")
    points = pd.DataFrame({"target": "joy", "prediction": ["1", "2"], "label": ["0", "4"]})
    label = ElementTree.fromstring(draw(plot, points.assign(n_clips="1"))).get("aria-label")
    assert label == "Both. 2 marks; said from 1 to 2, felt from 0 to 4"
