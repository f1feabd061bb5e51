import shutil

import pandas as pd
import pytest
import yaml

from pipeline.doctor import examine


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
        return {each.subject: each for each in examine(tmp_path / "params.yaml")}

    return examine_with


@pytest.mark.parametrize("key", ["slices", "baselines"])
def test_a_column_that_the_index_would_miss_is_a_fault(examined, key):
    found = examined(lambda content: content["evaluation"].update({key: ["contry"]}))
    assert not found["evaluation"].ok
    for text in (f"`evaluation.{key}` names ['contry']", "'country'", "'duration_s'"):
        assert text in found["evaluation"].detail


def test_a_baseline_that_is_a_target_is_a_fault(examined):
    found = examined(lambda content: content["evaluation"].update(baselines=["joy"]))
    assert "names targets: ['joy']" in found["evaluation"].detail


def test_columns_of_the_labels_and_of_the_index_will_do(examined):
    columns = ["country", "group", "duration_s"]
    found = examined(lambda c: c["evaluation"].update(slices=columns, baselines=columns))
    assert [each for each in found.values() if not each.ok] == []


@pytest.mark.parametrize("media", [".", "data", "results"])
def test_media_among_what_stages_write_are_a_fault(examined, media):
    found = examined(lambda content: content["data"].update(media=media))
    assert not found["data.media"].ok
    assert "DVC refuses" in found["data.media"].detail


def test_keys_that_dvc_follows_have_to_be_there(examined):
    def take_out(content):
        del content["people"], content["data"]["max_failed_share"]

    found = examined(take_out)
    assert not found["dvc.yaml"].ok
    assert "it follows data.max_failed_share, people, which" in found["dvc.yaml"].detail
    assert [each.subject for each in found.values() if not each.ok] == ["dvc.yaml"]
