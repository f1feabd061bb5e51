"""Projects to import into, and how to run `eri import` there."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from pipeline.imports.layouts import HUME_TARGETS
from tests.pipeline.commands import eri

TARGETS = ["joy", "fear", "awe"]


def import_json(*arguments, status=0) -> dict:
    """Run `eri import ... --json`; returns the JSON, with the findings by their kind."""
    content = json.loads(eri("import", *arguments, "--json", status=status).stdout)
    content["by_kind"] = {finding["kind"]: finding for finding in content["findings"]}
    return content


def import_features(path, name, *more, status=0) -> dict:
    """Import features; returns the JSON."""
    content = import_json("features", path, "--name", name, *more, status=status)
    return content | content["features"].get(name, {}) | {"store": f"data/imports/features/{name}"}


def write_muse(folder: Path) -> None:
    """Write Hume-Reaction as MuSe 2022 has it: five clips, one without labels and features."""
    base = folder / "c2_muse_reaction"
    (base / "feats/faus").mkdir(parents=True)
    labels = [",".join(["File_ID", *HUME_TARGETS])]
    labels += [f"[{k:05d}],1.0,0.{k},0.{k},0.{k},0.{k},0,0.{k}" for k in range(4)]
    (base / "labels.csv").write_text("\n".join(labels))
    splits = ["train", "train", "devel", "devel", "test"]
    rows = [f"{k:05d},x{k},{split}" for k, split in enumerate(splits)]
    (base / "partition.csv").write_text("\n".join(["Id,Note,Proposal", *rows]))
    for k in range(4):
        rows = f"timestamp,segment_id,AU01,AU02\n0,{k},0.{k},1\n250,{k},0.5,0.{k}\n"
        (base / f"feats/faus/{k:05d}.csv").write_text(rows)


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


def refused(path, name, *more) -> str:
    """Import what must not be; returns the errors."""
    found = import_features(path, name, *more, status=1)
    assert not found["written"]
    errors = [each for each in found["findings"] if each["severity"] == "error"]
    return "\n".join(f"{each['kind']} {each['items']} {each['what_was_done']}" for each in errors)
