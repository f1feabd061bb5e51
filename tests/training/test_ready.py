"""The bundles that come with the package, and how they are made."""

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from models.heads.kernel import KernelRidgeHead, SVRHead
from models.heads.sklearn_heads import NeighboursHead
from pipeline.bundle import READY, read_bundle, ready_bundles
from pipeline.predict import load_bundle
from tests.media import write_clip
from training import ready

TARGETS = ["happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"]


def test_one_is_made_again_from_its_data(tmp_path, monkeypatch):
    data, folder, rng = tmp_path / "data", tmp_path / "ready", np.random.default_rng(0)
    (data / "images").mkdir(parents=True)
    table = pd.DataFrame({"clip_id": [f"c{n:02d}" for n in range(24)]})
    table["path"] = "images/" + table["clip_id"] + ".png"
    table["split"] = np.where(np.arange(24) < 18, "Train", "Val")
    table[TARGETS] = rng.uniform(size=(24, 7)).round(4)
    table.to_csv(data / "labels.csv", index=False)
    for name in table["path"]:
        picture = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(picture).save(data / name)
    params = yaml.safe_load((READY / "face.yaml").read_text())
    params["encoders"] = {"tiny": {"kind": "timm", "model": "test_vit", "weights": "random"}}
    params["evaluation"] = {"n_resamples": 50}
    folder.mkdir()
    (folder / "face.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.setattr(ready, "READY", folder)
    monkeypatch.setenv("ERI_CACHE", str(tmp_path / "cache"))
    ready.make("face", data, tmp_path / "run")
    assert load_bundle(folder / "face").predict(data)[TARGETS].notna().all(axis=None)
    card = (folder / "face.md").read_text()
    for said in ("FER2013", "for research only", "## Scores", "Not for: decisions about people"):
        assert said in card


@pytest.mark.parametrize("name", sorted(ready_bundles()))
def test_those_of_the_package_are_small_keep_no_clips_and_have_a_card(name, tmp_path):
    folder = ready_bundles()[name]
    assert sum(path.stat().st_size for path in folder.iterdir()) <= ready.LARGEST_BYTES
    for head in read_bundle(folder).heads:
        assert not isinstance(head, KernelRidgeHead | SVRHead | NeighboursHead)
    assert ready.RIGHTS[name] in (READY / f"{name}.md").read_text()
    params = yaml.safe_load((READY / f"{name}.yaml").read_text())
    with load_bundle(name) as predictor:
        assert predictor.targets == params["targets"]
        clip = write_clip(tmp_path / "clip.mp4", n_frames=4, size=(32, 32), sound_s=1)
        table = predictor.table(predictor.embed(clip, cache_root=tmp_path / "cache"))
    assert table[params["targets"]].notna().all(axis=None) == (name == "voice")  # no face is there
