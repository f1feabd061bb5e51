"""A small run of the pipeline on real media, up to its bundle."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from features.extraction import index_files
from pipeline import stages
from pipeline.clip_table import make_folds
from pipeline.params import load_params
from pipeline.paths import BUNDLE, CLIPS, FOLDS
from tests.media import write_clip

TARGETS = ["joy", "fear"]
HEADS = {
    "ridge": {"kind": "ridge"},
    "trees": {"kind": "lightgbm", "n_rounds": 5, "min_child_samples": 2},
    "net": {"kind": "mlp", "max_epochs": 3, "n_seeds": 1},
    "kernel": {"kind": "kernel_ridge"},
}


class FinishedRun:
    """The working folder of a run, and how to do its last steps again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def bundle(self) -> Path:
        return self.folder / BUNDLE

    def enter(self, monkeypatch: pytest.MonkeyPatch) -> "FinishedRun":
        """Make it the working folder."""
        monkeypatch.chdir(self.folder)
        monkeypatch.setenv("ERI_CACHE", str(self.folder / "cache"))
        return self

    def params(self, **changes) -> None:
        content = yaml.safe_load((self.folder / "params.yaml").read_text()) | changes
        (self.folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))

    def fit(self, heads=tuple(HEADS)) -> None:
        for head in heads:
            stages.fit(head)
        stages.stack()
        stages.bundle()


def finish_run(root: Path, folder: Path, model: str, **changes) -> FinishedRun:
    """Make a corpus, whose brightness tells the targets, and run all stages on it.

    `changes` are made to its parameters.
    """
    with pytest.MonkeyPatch.context() as patch:
        run = FinishedRun(folder).enter(patch)
        write_run(root, model, changes)
        stages.extract()
        stages.pool()
        run.fit(changes.get("heads", HEADS))
    return run


def write_run(root: Path, model: str, changes: dict[str, object]) -> None:
    """Write parameters, media, clip table and folds into the working folder."""
    content = yaml.safe_load((root / "params.yaml").read_text())
    content["targets"] = TARGETS
    content["folds"]["n_folds"] = 3
    content["encoders"] = {
        "tiny": {"kind": "open_clip", "model": model, "weights": "random"},
        "sound": {"kind": "opensmile", "model": "eGeMAPSv02"},
    }
    content |= {"heads": HEADS, **changes}
    Path("params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    rng = np.random.default_rng(0)
    splits = ["Train"] * 24 + ["Val"] * 4 + ["Test"] * 2
    levels = rng.integers(20, 230, len(splits))
    paths = {
        f"c{n:02d}": write_clip(
            Path("media") / f"c{n:02d}.mp4",
            n_frames=4,
            size=(32, 32),
            level=int(level),
            sound_s=0 if n == 25 else 0.4 + 0.01 * (n % 7),
        )
        for n, level in enumerate(levels)
    }
    clips = index_files(paths, progress=False).assign(split=splits)
    clips["group"] = [f"p{n // 3}" for n in range(len(clips))]
    for number, target in enumerate(TARGETS):
        clips[target] = np.abs(levels / 250 - number) + rng.normal(0, 0.1, len(clips))
    clips.loc[clips["split"] == "Test", TARGETS] = np.nan
    CLIPS.parent.mkdir()
    clips.to_parquet(CLIPS)
    make_folds(clips, load_params()).to_parquet(FOLDS)


def predictions(run: FinishedRun) -> pd.DataFrame:
    table = pd.read_csv(
        run.folder / "results" / "predictions.csv",
        dtype={"File_ID": str},
    )
    return table.set_index("File_ID")[TARGETS]
