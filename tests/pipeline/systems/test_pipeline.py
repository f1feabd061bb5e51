"""What `make systems` runs, with DVC itself, on a small project."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from pipeline.systems.published import PUBLISHED
from tests.conftest import write_clip

TINY = {"kind": "torchvision", "model": "shufflenet_v2_x0_5", "weights": "random"}


@pytest.fixture
def project(request, tmp_path) -> Path:
    """A repository with 16 small clips, tiny encoders and few systems."""
    root = request.config.rootpath
    for package in ("features", "models", "pipeline"):
        shutil.copytree(root / package, tmp_path / package)
    for name in (".dvcignore", "dvc.yaml"):
        shutil.copy(root / name, tmp_path)
    params = yaml.safe_load((root / "params.yaml").read_text())
    params["data"] |= {"labels": "labels.csv", "media": "media"}
    params["targets"] = ["joy", "fear"]
    params["encoders"]["resnet50"] = TINY
    del params["encoders"]["clip"]
    params["sampling"]["frame_rate_hz"] = 1
    params["pooling"] = {"statistics": ["mean"], "parts": ["whole"]}
    params["folds"]["n_folds"] = 2
    params["heads"] = {"mlp": {"kind": "mlp", "max_epochs": 2, "n_seeds": 1}}
    params["evaluation"]["n_resamples"] = 50
    systems = yaml.safe_load((root / "systems.yaml").read_text())
    systems["encoders"]["dino"] = systems["encoders"]["expression"] | {"outputs": ["embedding"]}
    systems["encoders"]["face"]["preprocessing"]["mean"] = [0.4, 0.4, 0.4]
    del systems["systems"]["clip"]
    systems["modalities"] = {"vision": ["resnet50", "dino", "face"], "sound": ["egemaps"]}
    write_corpus(tmp_path)
    for name, content in {"params": params, "systems": systems}.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return tmp_path


def write_corpus(folder: Path) -> None:
    """Write clips whose brightness is the label: the demo's take ten seconds."""
    joy = np.linspace(0.1, 0.9, 16)
    labels = pd.DataFrame({"clip_id": [f"c{n:02d}" for n in range(16)], "joy": joy})
    labels["fear"] = 1 - joy**2
    labels["path"] = labels["clip_id"] + ".mp4"
    labels["split"] = np.array(["Train", "Train", "Val", "Train"])[np.arange(16) % 4]
    labels.to_csv(folder / "labels.csv", index=False)
    for path, level in zip(labels["path"], joy, strict=True):
        write_clip(folder / "media" / path, n_frames=4, frame_rate_hz=4, level=int(250 * level))


def repro(folder: Path) -> str:
    """Run what `make systems` runs; returns what it printed."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(folder),
        "ERI_CACHE": str(folder / "cache"),
        "DVC_NO_ANALYTICS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    dvc = [sys.executable, "-m", "dvc"]
    output = ""
    commands = [["repro", "pipeline/dvc.yaml:systems"]]
    if not (folder / ".dvc").exists():
        commands.insert(0, ["init", "--no-scm", "--quiet"])
    for command in commands:
        done = subprocess.run(
            [*dvc, *command], cwd=folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        output = done.stdout
    return output


def test_the_systems_are_scored_by_dvc_offline_and_only_once(project):
    repro(project)
    table = pd.read_csv(project / "results/systems/systems.csv").set_index("system")
    paper = ["resnet50", "dino", "face", "multimodal"]
    older = ["action_units", "valence_arousal", "expression"]
    ours = [*paper, *older, "vision", "sound", "vision+sound", "stack"]
    assert table.loc[ours, "mean_pearson"].notna().all()
    assert (table.loc[ours, "ci95_low"] <= table.loc[ours, "ci95_high"]).all()
    assert (table["kind"] == "published").sum() == len(PUBLISHED) - 1
    gains = pd.read_csv(project / "results/systems/gains.csv")
    assert set(gains["modality"]) == {"vision", "sound"}
    content = json.loads((project / "results/systems/systems.json").read_text())
    assert content["labels"] == "labels.csv"
    assert "Data and pipelines are up to date" in repro(project)
