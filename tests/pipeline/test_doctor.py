import json
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from pipeline.doctor import examine
from tests.pipeline.commands import eri

LATER = {"kind": "torchvision", "model": "resnet18", "weights": "nowhere/weights.pt"}


@pytest.fixture
def examined(request, tmp_path, monkeypatch):
    """Let parameters be changed in a project with dvc.yaml and labels; returns what is found."""
    root = request.config.rootpath
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ERI_CACHE", str(tmp_path / "cache"))
    shutil.copy(root / "dvc.yaml", tmp_path)
    content = yaml.safe_load((root / "params.yaml").read_text())
    content["targets"] = ["joy"]
    content["data"] |= {"labels": "labels.csv", "media": "media"}
    (tmp_path / "media").mkdir()
    content["encoders"] = {"sound": {"kind": "opensmile", "model": "eGeMAPSv02"}}
    labels = {"clip_id": ["a"], "split": ["Train"], "joy": [0.5], "country": ["A"]}
    pd.DataFrame(labels).to_csv("labels.csv", index=False)

    def examine_with(change):
        change(content)
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
        return {each.subject: each for each in examine()}

    return examine_with


def faults(found) -> list[str]:
    return [each.subject for each in found.values() if not each.ok]


WRONG = {  # setting, its value: which fault it is, and what is said of it
    ("evaluation", "slices", "contry"): ("data.labels", "`evaluation.slices` names ['contry']"),
    ("evaluation", "baselines", "joy"): ("data.labels", "`evaluation.baselines` names ['joy']"),
    ("data", "media", "."): ("data.media", "DVC refuses"),
    ("data", "media", "data"): ("data.media", "DVC refuses"),
    ("data", "media", "gone"): ("data.media", "no folder gone: set it in params.yaml, bring data"),
    ("data", "labels", "gone.csv"): ("data.labels", "gone.csv is not there: set `data.labels`"),
}


@pytest.mark.parametrize("setting", WRONG)
def test_what_would_stop_a_run_is_a_fault(examined, setting):
    (section, key, value), (subject, said) = setting, WRONG[setting]
    found = examined(
        lambda c: c[section].update({key: [value] if section == "evaluation" else value})
    )
    assert faults(found) == [subject]
    assert said in found[subject].detail


def test_features_and_weights_that_are_not_there_are_faults_but_for_optional_encoders(examined):
    def change(content):
        content["stores"]["fau"] = {"store": "x", "sha256": ""}
        content["encoders"] |= {"later": LATER, "spare": LATER | {"optional": True}}
        columns = ["country", "group", "duration_s"]  # of the labels, and of the index
        content["evaluation"] |= {"slices": [*columns, "joy"], "baselines": columns}

    found = examined(change)
    assert faults(found) == ["encoders.later", "stores.fau"]
    assert "no weights file nowhere/weights.pt" in found["encoders.later"].detail
    assert "LEFT OUT of a run: there is no weights file" in found["encoders.spare"].detail
    assert "no imported feature store" in found["stores.fau"].detail


@pytest.mark.parametrize("name", ["gone.mp4", ".p"])
def test_media_that_dvc_would_stop_at_or_wait_for_are_a_fault(examined, name):
    if name == ".p":
        os.mkfifo("media/.p")
    else:
        Path("media", name).symlink_to("nowhere")
    found = examined(lambda _: None)
    assert faults(found) == ["data.media"]
    said = f"1 files of media cannot be read (media/{name}: no regular file, or a link to none)"
    assert said in found["data.media"].detail


def test_the_command_prints_lines_or_json_and_fails_with_a_fault(examined, tmp_path):
    examined(lambda content: content["data"].update(media="gone"))
    shown = eri("doctor", status=1).stdout
    assert "FAIL  data.media" in shown
    assert "ok    encoders.sound" in shown
    found = json.loads(eri("doctor", "--json", status=1).stdout)
    assert [each["subject"] for each in found if not each["ok"]] == ["data.media"]
