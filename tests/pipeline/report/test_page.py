import dataclasses
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import yaml

from features.encoders import ENCODERS
from pipeline.breakdowns import CONTRIBUTION_COLUMNS, CURVE_COLUMNS, SLICE_COLUMNS
from pipeline.clip_table import SPLITS, Rows
from pipeline.params import Evaluation, Final
from pipeline.report.page import LICENCES, render_model_card, render_report

FAILURE_COLUMNS = ["clip_id", "step", "reason"]
PER_PERSON = {"clips_per_person": {"min": 1, "median": 2, "max": 3}}
SVG = "{http://www.w3.org/2000/svg}svg"


def check(text):
    """Hold a page to what every report keeps; return its elements as a list per name."""
    found = {}
    for element in ElementTree.fromstring(text).iter():  # all are closed, in order
        found.setdefault(element.tag, []).append(element)
    ids = [each.get("id") for elements in found.values() for each in elements if each.get("id")]
    assert len(ids) == len(set(ids))
    assert [len(found.get(f"h{level}", [])) for level in (1, 2, 3)] == [1, 11, 0]
    assert not {"script", "link", "iframe"} & set(found)
    for element in (each for elements in found.values() for each in elements):
        assert element.get("src") is None
        assert element.get("href", f"#{ids[0]}").removeprefix("#") in ids
        assert not any("NaN" in value for value in element.attrib.values())
    assert all(cell.get("scope") for cell in found["th"])
    assert len(found["caption"]) == len(found["table"])
    assert all(
        each.get("role") == "img" and len(each.get("aria-label")) > 20 for each in found[SVG]
    )
    return found


SLICES = [("country", part, "val", "stack", 5, 2, 0.3, 0.1, 0.5) for part in ("a", "b")]
PEOPLE_FITTED = [
    ("ridge/face", 4, 12, 3, 0.2, 0.1, 0.3, 0.1, 0.3),
    ("ridge/face", 9, 30, 1, 0.4, np.nan, np.nan, 0.4, 0.4),
]
ADDS = [("modality", part, "a b", 0.2, 0.1, 0.3, 0.1, 0.0, 0.2, 0.97) for part in ("x", "y")]
LACKING = {"clip_id": "c", "split": "Val", "missing": "clip", "reasons": "clip: decode: damaged"}


def test_every_figure_and_part_is_there(render, params):
    text = render(
        slices=pd.DataFrame(SLICES, columns=SLICE_COLUMNS),
        curve=pd.DataFrame(PEOPLE_FITTED, columns=CURVE_COLUMNS),
        contributions=pd.DataFrame(ADDS, columns=CONTRIBUTION_COLUMNS),
        imputed=pd.DataFrame([LACKING | {"File_ID": "c", "all_missing": k == 0} for k in range(2)]),
        failures={"clip": pd.DataFrame([("c", "decode", "damaged")] * 60, columns=FAILURE_COLUMNS)},
        people={"n_people": 9, "source": "group"} | PER_PERSON,
        params=params.model_copy(update={"final": Final(refit_on="train+val")}),
        warnings=["odd labels"],
    )
    page = check(text)
    drawn = " ".join(each.get("aria-label") for each in page[SVG])
    for title in (
        *("Leaderboard", "Pearson by target", "What each modality"),
        *("Share of all weight", "The stack inside slices", "Learning curve"),
        *(f"{target}: {what}" for target in params.targets for what in ("labels", "calibration")),
    ):
        assert title in drawn
    for said in (
        *("P &gt; best", "oof pooled", "Clips furthest off", "odd labels", "9 people", "ab12"),
        *("Clips that lack features: 2 clips", "60 clips, the first 50 listed", "decode: 60"),
        "refitted on Train and Val",
    ):
        assert said in text
    assert text.count(">damaged</td>") == 50


def test_what_is_missing_breaks_nothing(render, results, rows):
    text = render()
    check(text)
    assert "single encoder" in text
    assert "Val has too few labels to score on" in text
    assert "Nothing is known of how scores differ between groups" in text
    assert "No warnings" in text
    check(render(rows=dataclasses.replace(rows, clips=rows.clips.drop(columns="duration_s"))))
    assert "<svg" not in render_report(dataclasses.replace(results(), plots={}))  # of dvc.yaml


def test_the_worst_clips_come_first(results, rows):
    made = results()
    worst = np.flatnonzero(made.scored)[2]
    made.stack[worst] = 50
    listed = render_report(made).partition('id="h-worst"')[2]
    first = listed.partition('<tr><th scope="row">')[2]
    assert first.startswith(f"{rows.clip_ids[worst]}</th>")
    assert "50.00" in first.partition("</tr>")[0]


def test_it_says_what_was_fitted_on_what_and_how_good_it_is(results, params, rows):
    card = render_model_card(results())
    for part in (
        *("## Model details", "## Intended use", "## Data", "## Scores", "## Where it is worse"),
        *("docs/responsible-use.md", "openSMILE's own licence", "Encoders with random weights"),
        *(", ".join(params.targets), "| Val | ", "| stack | ", "| baseline/mean | "),
    ):
        assert part in card
    assert yaml.safe_load(card.split("---\n")[1])["library_name"] == "eri"
    table = results().board.set_index("name")
    assert f"{table.loc['stack', 'val_mean_pearson']:+.3f}" in card
    best = table.index[~table.index.str.match("stack|baseline")][0]
    assert f"| {best} | " in card
    rows.y[rows.n_train :] = np.nan
    assert "Train, out of fold" in render_model_card(results())
    assert set(LICENCES) == {key.partition(" ")[0] for key in ENCODERS} | {"whisper", "imported"}


def test_slices_below_the_overall_score_are_named_the_worst_first(results):
    overall = results().board.set_index("name").loc["stack", "val_mean_pearson"]
    rows = [
        ("age", name, "val", "stack", 5, 2, overall + shift, overall + shift - 0.1, high)
        for name, shift, high in (
            ("young", 0.01, overall + 0.1),
            ("middle", -0.01, overall + 0.1),
            ("old", -0.3, overall - 0.2),
        )
    ]
    card = render_model_card(results(slices=pd.DataFrame(rows, columns=SLICE_COLUMNS)))
    lines = [line for line in card.splitlines() if line.startswith("| age |")]
    assert [line.split(" | ")[1] for line in lines] == ["old", "middle"]
    assert ["surely" in line for line in lines] == [True, False]
    assert "not looked at" not in card
    assert "Groups of people were not looked at" in render_model_card(results())


@pytest.mark.timeout(120)
def test_twenty_five_thousand_clips_stay_small(render, params, predictions):
    n = 25_067
    rng = np.random.default_rng(0)
    split = np.repeat(SPLITS, (15_806, 4_657, 4_604))
    y = rng.uniform(size=(n, len(params.targets)))
    y[split == "Test"] = np.nan
    people = np.array([f"{s}{k % 700}" for k, s in enumerate(split)], object)
    clips = pd.DataFrame({"clip_id": np.arange(n).astype(str), "split": split, "group": people})
    clips["duration_s"] = rng.uniform(8, 13, n)
    few = params.model_copy(update={"evaluation": Evaluation(n_resamples=2)})
    predictions.clear()
    predictions["stack"] = np.nan_to_num(y) + rng.normal(size=y.shape)
    lost = pd.DataFrame({"clip_id": clips["clip_id"], "step": "decode", "reason": "x" * 200})
    text = render(
        rows=Rows(clips, 15_806, y, people, np.arange(15_806) % 5), params=few, failures={"c": lost}
    )
    assert len(text) < 2_000_000
    check(text)
