import json
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from models.heads import HEADS
from pipeline.comparison import run_comparison
from pipeline.params import ParamsError, load_params
from pipeline.systems import load_systems, plan_systems, systems_table
from tests.pipeline.commands import eri


class SystemsProject:
    """A project of two encoders, with systems that need a third one."""

    def __init__(self, project) -> None:
        self.project = project
        self.content = {
            "encoders": {"posture": {"kind": "opensmile", "model": "eGeMAPSv02"}},
            "systems": {
                "eyes": {"encoders": ["face"], "head": "ridge", "published": "paper, ResNet50"},
                "body": {"encoders": ["posture"], "head": "ridge", "published": "not available"},
                "both": {"encoders": ["voice", "face"], "head": "average"},
            },
            "published": {
                "paper, ResNet50": {"test": "0.4080", "source": "the paper, pre-trained"},
                "another": {"val": "about 0.52", "source": "them"},
                "not available": {"test": "not available"},
            },
        }

    def load(self):
        text = yaml.safe_dump(self.content, sort_keys=False)
        (self.project.folder / "systems.yaml").write_text(text)
        return load_systems(load_params(check_heads=False))


@pytest.fixture
def systems_project(project, monkeypatch) -> SystemsProject:
    monkeypatch.setitem(project.write_store.__globals__["WIDTHS"], "posture", 5)
    project.write_store("posture")
    (project.folder / "data/features").rename(project.folder / "data/systems")
    return SystemsProject(project)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("systems.eyes.encoders", ["fase"], "unknown encoder 'fase'; did you mean 'face'"),
        ("systems.eyes.had", "ridge", "systems.eyes.had: unknown key"),
        ("systems.eyes.published", "paper, ResNet", "did you mean 'paper, ResNet50'"),
        (
            "encoders.face",
            {"kind": "opensmile", "model": "x"},
            "params.yaml has an encoder of that",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(systems_project, place, value, message):
    *folders, last = place.split(".")
    section = systems_project.content
    for folder in folders:
        section = section[folder]
    section[last] = value
    with pytest.raises(ParamsError, match=re.escape(message)) as caught:
        systems_project.load()
    assert str(caught.value).startswith("systems.yaml: ")


def test_the_project_s_own_file_has_the_paper_s_five_systems(request, monkeypatch):
    monkeypatch.chdir(request.config.rootpath)
    systems, _ = load_systems(load_params(check_heads=False))
    paper = {name: s for name, s in systems.systems.items() if s.published}
    assert len(paper) == 5
    assert paper["resnet50"].published == "paper, ResNet50"
    others = {s.published for name, s in paper.items() if name != "resnet50"}
    assert others == {"not available"}
    figures = {n: each for n, each in systems.published.items() if n != "not available"}
    assert len(figures) == 18
    assert all((each.val or each.test) and each.source for each in figures.values())


def test_ours_stand_beside_the_published_ones(systems_project, fitted, monkeypatch):
    monkeypatch.setattr("pipeline.systems.extract_features", lambda *_: {})
    systems_project.load()
    content = json.loads(eri("systems", "--split", "oof", "--json").stdout)
    table = pd.DataFrame(content["systems"]).set_index("system")
    ours = ["eyes", "body", "both"]
    assert list(table.index) == [*ours, "stack", "baseline/mean", "baseline/duration", "another"]
    scores = table.loc[table["kind"] != "published", ["ci95_low", "mean_pearson", "ci95_high"]]
    assert (scores.astype(float).diff(axis=1).iloc[:, 1:] >= 0).all(axis=None)
    figures = table[["published_val", "published_test", "source"]]
    assert figures.loc["eyes"].tolist() == ["", "0.4080", "the paper, pre-trained"]
    assert figures.loc["body"].tolist() == ["", "not available", ""]
    assert figures.loc["another"].tolist() == ["about 0.52", "", "them"]
    assert (figures.loc[["both", "stack"]] == "").all(axis=None)
    assert table["mean_pearson"].isna()["another"]
    assert pd.read_csv("results/systems/systems.csv")["system"].tolist() == table.index.tolist()
    assert len(fitted) == 2 + 3  # baselines, systems
    eri("systems", "--split", "val")
    assert len(fitted) == 2 + 3
    page = Path("results/systems/systems.md").read_text()
    for said in ("Published figures are of Hume-Reaction", "data/demo/labels.csv", "| another"):
        assert said in page


def test_what_fails_or_has_no_features_is_a_row_that_says_why(systems_project, fitted, monkeypatch):
    def fail(*_):
        raise ValueError("no good")

    monkeypatch.setattr(HEADS["svr"], "cross_fit", fail)
    systems_project.content["systems"]["sound"] = {"encoders": ["voice"], "head": "svr"}
    systems, params = systems_project.load()
    found = run_comparison(plan_systems(systems, params, lacking={"posture": "no weights"}))
    table = systems_table(found, systems).set_index("system")
    said = ["no weights", "no good"]
    assert table.loc[["body", "sound"], "note"].tolist() == said
    assert table.loc[["body", "sound"], "mean_pearson"].isna().all()
    assert set(found.members) == {"ridge/face", "average/face+voice"}
