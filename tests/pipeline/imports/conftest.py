"""Projects to import into, and how to run `eri import` there."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from pipeline import cli

TARGETS = ["joy", "fear", "awe"]


def import_json(*arguments, status=0) -> dict:
    """Run `eri import ... --json`; returns the JSON, with the findings by their kind."""
    shown = CliRunner().invoke(cli.app, ["import", *map(str, arguments), "--json"])
    assert shown.exit_code == status, (shown.output, shown.exception)
    content = json.loads(shown.stdout)
    content["by_kind"] = {finding["kind"]: finding for finding in content["findings"]}
    return content


def import_features(path, name, *more, status=0) -> dict:
    """Import features; returns the JSON."""
    content = import_json("features", path, "--name", name, *more, status=status)
    return content | content["features"].get(name, {}) | {"store": f"data/imports/features/{name}"}


@pytest.fixture
def run(request, tmp_path, monkeypatch):
    """Run `eri import ... --json` in an empty project."""
    project = tmp_path / "project"
    project.mkdir()
    shutil.copy(request.config.rootpath / "params.yaml", project)
    monkeypatch.chdir(project)
    return import_json


@pytest.fixture
def folder(request, tmp_path, monkeypatch) -> Path:
    """The working folder: labels of 40 clips of 10 people, no media, no features yet."""
    n = 40
    rng = np.random.default_rng(0)
    labels = pd.DataFrame({"clip_id": [f"[{k:05d}]" for k in range(n)]})
    labels["split"] = np.array(["Train", "Train", "Val", "Train", "Test"])[np.arange(n) % 5]
    labels["group"] = [f"p{k // 4}" for k in range(n)]
    scores = rng.uniform(size=(n, len(TARGETS)))
    labels[TARGETS] = np.where(labels[["split"]] == "Test", np.nan, scores)
    labels.to_csv(tmp_path / "labels.csv", index=False)
    content = yaml.safe_load((request.config.rootpath / "params.yaml").read_text())
    content["targets"] = TARGETS
    content["data"] |= {"labels": "labels.csv", "media": "media"}
    (tmp_path / "media").mkdir()
    content["encoders"] = {}
    content["folds"]["n_folds"] = 3
    content["evaluation"] = {"n_resamples": 100, "slices": []}
    content["heads"] = {"ridge": {"kind": "ridge"}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ERI_CACHE", str(tmp_path / "cache"))
    return tmp_path
