from xml.etree import ElementTree

import pandas as pd

from pipeline.report.figures import Plot, draw

LABELS = {"x": "value", "y": "row", "x_label": "Pearson", "y_label": "row", "title": "Scores"}
SCORES = pd.DataFrame(
    [["stack", "0.5", "0.4", "0.6"], ["</svg><script>alert(1)</script>", "0.1", "", ""]],
    columns=["row", "value", "ci95_low", "ci95_high"],
)


def test_a_drawing_refers_to_nothing_escapes_names_and_leaves_out_missing_numbers():
    drawn = draw(Plot(template="intervals", table=None, **LABELS), SCORES)
    assert drawn == draw(Plot(template="intervals", table=None, **LABELS), SCORES)
    assert "http" not in drawn.replace("http://www.w3.org/", "")
    assert "<script" not in drawn
    root = ElementTree.fromstring(drawn)
    assert {"stack", "Pearson", "Scores"} <= {each.text for each in root.iter()}
    assert "stack: 0.5 [0.4, 0.6]" in root.get("aria-label")
    assert not any("NaN" in value for each in root.iter() for value in each.attrib.values())


def test_what_is_no_list_of_estimates_is_summed_up():
    plot = Plot("scatter_by_target", None, "prediction", "label", "said", "felt", "Both")
    points = pd.DataFrame({"target": "joy", "prediction": ["1", "2"], "label": ["0", "4"]})
    label = ElementTree.fromstring(draw(plot, points.assign(n_clips="1"))).get("aria-label")
    assert label == "Both. 2 marks; said from 1 to 2, felt from 0 to 4"
