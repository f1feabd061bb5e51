"""A clip table without media, and a project of it, for tests of what comes after extraction."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from features.cache import Embedding
from features.store import StoredClip, write_clip_vectors, write_store
from pipeline.clip_table import Rows, arrange_rows, make_folds
from pipeline.params import Params, load_params
from pipeline.predict import load_bundle
from tests.pipeline.commands import WorkersHere
from tests.pipeline.finished_run import FinishedRun, finish_run

TARGETS = ["joy", "fear", "awe"]
ENCODERS = {
    "clip": {"kind": "open_clip", "model": "ViT-B-32", "weights": "random"},
    "resnet50": {"kind": "torchvision", "model": "resnet50", "weights": "random"},
    "egemaps": {"kind": "opensmile", "model": "eGeMAPSv02"},
}
WIDTHS = {"face": 6, "voice": 4}


@pytest.fixture
def touch(tmp_path):
    """Make empty files."""

    def make(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    return make


@pytest.fixture
def content(request) -> dict:
    """The project's own parameters, for few clips, with encoders of our own."""
    content = yaml.safe_load((request.config.rootpath / "params.yaml").read_text())
    content |= {"targets": TARGETS, "encoders": ENCODERS, "folds": {"n_folds": 3}}
    content["evaluation"]["n_resamples"] = 100
    return content


@pytest.fixture
def params(content, tmp_path: Path) -> Params:
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content))
    return load_params(path)


@pytest.fixture
def clips() -> pd.DataFrame:
    n = 40
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"clip_id": [f"{k:03d}" for k in range(n)]})
    table["split"] = np.where(np.arange(n) % 4 == 3, "Val", "Train")
    table.loc[table.index[-6:], "split"] = "Test"
    table["group"] = [f"{split}{k % 5}" for k, split in enumerate(table["split"])]
    table["duration_s"] = rng.uniform(1, 4, n)
    for target in TARGETS:
        table[target] = rng.uniform(size=n)
    table.loc[table["split"] == "Test", TARGETS] = np.nan
    return table


@pytest.fixture
def rows(clips, params) -> Rows:
    return arrange_rows(clips, make_folds(clips, params), params)


class Project:
    """The folder, and how to change what is in it."""

    def __init__(self, folder: Path, clips, content) -> None:
        self.folder = folder
        self.clips = clips
        self.content = content

    @property
    def heads(self) -> list[str]:
        return list(self.content["heads"])

    def write(self) -> None:
        (self.folder / "params.yaml").write_text(yaml.safe_dump(self.content, sort_keys=False))
        (self.folder / "data").mkdir(exist_ok=True)
        self.clips.to_parquet(self.folder / "data" / "clips.parquet")
        params = load_params(self.folder / "params.yaml", check_heads=False)
        make_folds(self.clips, params).to_parquet(self.folder / "data" / "folds.parquet")

    def write_vectors(self, encoder: str, seed: int = 0) -> None:
        rng = np.random.default_rng([seed, WIDTHS[encoder]])
        truth = np.nan_to_num(self.clips[self.content["targets"]].to_numpy())
        mixed = truth @ rng.normal(size=(truth.shape[1], WIDTHS[encoder]))
        vectors = (mixed + 0.5 * rng.normal(size=mixed.shape)).astype(np.float32)
        path = self.folder / "data" / "pooled" / f"{encoder}.parquet"
        write_clip_vectors(path, self.clips["clip_id"].to_numpy(object), vectors, {})

    def write_store(self, encoder: str, metadata=None, n_rows: int = 4) -> None:
        """Write a feature store of equally many rows per clip."""
        shape = len(self.clips), n_rows, WIDTHS[encoder]
        rows = np.random.default_rng(WIDTHS[encoder]).normal(size=shape).astype(np.float32)
        stored = [
            StoredClip(clip_id, f"{number:064x}", Embedding(np.arange(n_rows) / 2, each, None))
            for number, (clip_id, each) in enumerate(zip(self.clips["clip_id"], rows, strict=True))
        ]
        write_store(self.folder / "data" / "features" / encoder, stored, metadata or {})


@pytest.fixture
def project(content, clips, tmp_path, monkeypatch) -> Project:
    """The project, as the working folder, with a cache of its own."""
    content["encoders"] = {name: {"kind": "opensmile", "model": "eGeMAPSv02"} for name in WIDTHS}
    content["heads"] = {"ridge": {"kind": "ridge"}, "average": {"kind": "mean"}}
    project = Project(tmp_path, clips, content)
    project.write()
    for encoder in WIDTHS:
        project.write_vectors(encoder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ERI_CACHE", str(tmp_path / "cache"))
    return project


@pytest.fixture(scope="session")
def shared_run(request, tmp_path_factory, tiny_clip) -> FinishedRun:
    """A run up to its bundle; tests leave it as it is."""
    return finish_run(request.config.rootpath, tmp_path_factory.mktemp("run"), tiny_clip)


@pytest.fixture
def finished_run(shared_run, monkeypatch) -> FinishedRun:
    """The same, as the working folder."""
    return shared_run.enter(monkeypatch)


@pytest.fixture(scope="session")
def predictor(shared_run):
    """The bundle of that run, loaded once: its workers and networks are started for all tests."""
    with load_bundle(shared_run.bundle) as predictor:
        yield predictor


@pytest.fixture(scope="session")
def ready_folder(shared_run, tmp_path_factory) -> Path:
    """The folder of two ready bundles: `face` sees the picture only, `voice` hears the sound."""
    folder = tmp_path_factory.mktemp("ready")
    run = FinishedRun(shutil.copytree(shared_run.folder, folder / "run"))
    encoders = yaml.safe_load((run.folder / "params.yaml").read_text())["encoders"]
    with pytest.MonkeyPatch.context() as patch:
        run.enter(patch)
        for name, encoder in (("face", "tiny"), ("voice", "sound")):
            run.params(encoders={encoder: encoders[encoder]}, heads={"ridge": {"kind": "ridge"}})
            run.fit(["ridge"])
            shutil.copytree(run.bundle, folder / "ready" / name)
    return folder / "ready"


@pytest.fixture
def ready(ready_folder, tmp_path, monkeypatch) -> Path:
    """Those bundles; and a working folder without a run."""
    monkeypatch.setattr("pipeline.bundle.READY", ready_folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ERI_CACHE", str(tmp_path / "cache"))
    return ready_folder


@pytest.fixture
def fitted(monkeypatch) -> list[str]:
    """Compare without a process of its own; lists what is fitted, in order."""
    monkeypatch.setattr(WorkersHere, "fitted", [])
    monkeypatch.setattr("pipeline.spread.Workers", WorkersHere)
    # Nobody who edits `models` while tests run spoils them.
    for name in ("code_digest", "_code_in_use"):
        monkeypatch.setattr(f"pipeline.fit.{name}", lambda: "code")
    return WorkersHere.fitted
