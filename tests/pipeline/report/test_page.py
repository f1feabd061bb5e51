import dataclasses
import itertools
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from pipeline.clip_table import Rows
from pipeline.contributions import CONTRIBUTION_COLUMNS
from pipeline.fits.curve import CURVE_COLUMNS
from pipeline.labels import SPLITS
from pipeline.leaderboard import SLICE_COLUMNS
from pipeline.report import page as page_module
from pipeline.report.page import render_report

VOID = {"meta", "br", "img", "link", "input"}
HOSTILE = "<script>alert('x')</script>\"&{{ 7 * 7 }}"
PER_PERSON = {"clips_per_person": {"min": 1, "median": 2, "max": 3}}


class Page(HTMLParser):
    """What a page holds; elements have to be closed in order."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, name, attributes):
        self.elements.append((name, dict(attributes)))
        if name not in VOID:
            self.open.append(name)

    def handle_startendtag(self, name, attributes):
        self.elements.append((name, dict(attributes)))

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def all(self, *names):
        return [attributes for name, attributes in self.elements if name in names]

    def ids(self):
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]


def check(text):
    """What holds for every report."""
    page = Page(text)
    ids = page.ids()
    assert len(ids) == len(set(ids))
    levels = [int(name[1]) for name, _ in page.elements if re.fullmatch("h[1-6]", name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    for _, attributes in page.elements:
        for key in ("src", "href"):
            assert attributes.get(key, "#").startswith(("#", "data:image/jpeg;base64,"))
        if attributes.get("href", "").startswith("#"):
            assert attributes["href"][1:] in ids
    assert not page.all("script")
    assert all("alt" in image for image in page.all("img"))
    assert all("scope" in cell for cell in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert page.all("svg")
    for each in page.all("svg"):
        assert each["role"] == "img"
        assert len(each["aria-label"]) > 20
    drawings = re.findall(r"<svg.*?</svg>", text, re.S)
    for each in map(ElementTree.fromstring, drawings):
        assert not any(
            "NaN" in value for element in each.iter() for value in element.attrib.values()
        )
    return page


def slices(name="country"):
    rows = [(name, part, "val", "stack", 5, 2, 0.3, 0.1, 0.5) for part in ("a", "b")]
    return pd.DataFrame(rows, columns=SLICE_COLUMNS)


def curve():
    rows = [("ridge/face", 4, 12, 3, 0.2, 0.1, 0.3, 0.1, 0.3)]
    rows += [("ridge/face", 9, 30, 1, 0.4, np.nan, np.nan, 0.4, 0.4)]
    return pd.DataFrame(rows, columns=["name", *CURVE_COLUMNS])


def contributions():
    rows = [("modality", part, "a b", 0.2, 0.1, 0.3, 0.1, 0.0, 0.2, 0.97) for part in ("x", "y")]
    return pd.DataFrame(rows, columns=CONTRIBUTION_COLUMNS)


def failures(n, clip_id="c"):
    return pd.DataFrame({"clip_id": [clip_id] * n, "step": "decode", "reason": "damaged"})


def imputed(split="Val", n=2):
    row = {"clip_id": "c", "split": split, "missing": "clip", "reasons": "clip: decode: damaged"}
    return pd.DataFrame([row | {"File_ID": "c", "all_missing": k == 0} for k in range(n)])


def test_every_figure_and_part_is_there(render, params):
    text = render(
        slices=slices(),
        curve=curve(),
        contributions=contributions(),
        imputed=imputed(),
        failures={"clip": failures(60)},
        people={"n_people": 9, "source": "group"} | PER_PERSON,
        warnings=["odd labels"],
    )
    page = check(text)
    drawn = " ".join(each["aria-label"] for each in page.all("svg"))
    for title in (
        *("Leaderboard", "Pearson by target", "Each head on each encoder", "What each modality"),
        *("Share of all weight", "The stack inside slices", "Learning curve", "Mean error by"),
        *("Mean size of the error", "People whose errors lean"),
        *(f"{target}: {what}" for target in params.targets for what in ("labels", "calibration")),
    ):
        assert title in drawn
    for said in (
        *("P &gt; best", "oof pooled", "Clips furthest off", "odd labels", "9 people", "ab12"),
        *("Clips that lack features: 2 clips", "60 clips, the first 50 listed", "decode: 60"),
    ):
        assert said in text
    assert text.count(">damaged</td>") == 50


def test_names_are_escaped(render, params, rows):
    targets = (HOSTILE, *params.targets[1:])
    named = rows.clips.rename(columns={params.targets[0]: HOSTILE})
    named = named.assign(clip_id=HOSTILE + named["clip_id"].astype(str))
    people = np.array([HOSTILE + str(each) for each in rows.people], object)
    text = render(
        params=params.model_copy(update={"targets": targets}),
        rows=dataclasses.replace(rows, clips=named, people=people),
        slices=slices(HOSTILE),
        failures={"clip": failures(1, HOSTILE)},
        warnings=[HOSTILE],
    )
    check(text)
    assert "alert(" in text
    assert "<script" not in text
    assert "{{ 7 * 7 }}" in text


def test_what_is_missing_breaks_nothing(render, rows):
    text = render()
    check(text)
    assert "single encoder" in text
    assert "Val has no labels to score on" in text
    assert "Nothing is known of how scores differ between groups" in text
    assert "No warnings" in text
    clips = rows.clips.drop(columns="duration_s")
    assert "Durations are unknown" in render(rows=dataclasses.replace(rows, clips=clips))


def test_without_labels_on_val_it_shows_train_out_of_fold(render, rows):
    rows.y[rows.n_train :] = np.nan
    text = render()
    check(text)
    assert "on Train, out of fold" in text


def test_correlations_out_of_fold_are_those_of_the_leaderboard(results, rows, params):
    rows.y[rows.n_train :] = np.nan
    run = results()
    stack = run.board.set_index("name").loc["stack"]
    page = render_report(run)
    for target in params.targets:
        row = page[page.index(f'<th scope="row">{target}</th>') :].partition("</tr>")[0]
        assert f"{stack[f'oof_pearson_{target}']:+.3f}" in row


def test_one_target_is_enough(render, rows, params):
    one = params.model_copy(update={"targets": params.targets[:1]})
    check(render(params=one, rows=dataclasses.replace(rows, y=rows.y[:, :1])))


def test_a_refit_is_said(render, params):
    final = params.final.model_copy(update={"refit_on": "train+val"})
    changed = params.model_copy(update={"final": final})
    assert "refitted on Train and Val" in render(params=changed)
    assert "refitted on Train and Val" not in render()


def test_the_worst_clips_are_asked_for_their_pictures(render, rows, monkeypatch):
    asked = {}

    def fake(files):
        asked.update(files)
        return dict.fromkeys(files, "data:image/jpeg;base64,AAAA")

    monkeypatch.setattr(page_module, "thumbnails", fake)
    clips = rows.clips.assign(path="clips/" + rows.clips["clip_id"].astype(str) + ".mp4")
    text = render(rows=dataclasses.replace(rows, clips=clips))
    n_val = int((clips["split"] == "Val").sum())
    assert 0 < len(asked) == min(12, n_val) == len(check(text).all("img"))


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
    few = params.model_copy(
        update={"evaluation": params.evaluation.model_copy(update={"n_resamples": 2})}
    )
    predictions.clear()
    predictions["stack"] = np.nan_to_num(y) + rng.normal(size=y.shape)
    lost = pd.DataFrame({"clip_id": clips["clip_id"], "step": "decode", "reason": "x" * 200})
    text = render(
        rows=Rows(clips, 15_806, y, people, np.arange(15_806) % 5), params=few, failures={"c": lost}
    )
    assert len(text) < 2_000_000
    check(text)
