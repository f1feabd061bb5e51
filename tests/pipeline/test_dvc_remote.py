"""What DVC brings from an S3-compatible server is not computed again."""

import os
from pathlib import Path

import pytest
import yaml

from tests.media import write_clip
from tests.pipeline.checkouts import ROOT, Checkout
from tests.pipeline.commands import eri

N_CLIPS = 3
PARAMS = {
    "seed": 0,
    "targets": ["joy"],
    "data": {"labels": "labels.csv", "media": "media", "max_failed_share": 0.05},
    "sampling": {"frame_rate_hz": 1, "sample_rate_hz": 16000},
    "transcripts": None,
    "encoders": {"voice": {"kind": "opensmile", "model": "eGeMAPSv02"}},
    "pooling": {"statistics": ["mean"], "parts": ["whole"]},
    "heads": {"ridge": {"kind": "ridge"}},
    "evaluation": {"n_resamples": 10},
}


def add_clip(folder: Path, number: int) -> None:
    write_clip(folder / f"media/c{number}.mp4", n_frames=0, sound_s=0.5 + number / 10)
    with (folder / "labels.csv").open("a") as labels:
        labels.write(f"c{number},c{number}.mp4,Train,p{number},0.{number}\n")


def test_another_clone_pulls_computes_nothing_and_then_one_new_clip(tmp_path, bucket):
    pytest.importorskip("dvc_s3")
    first = Checkout(tmp_path / "first", ERI_CACHE=str(tmp_path / "first/cache"))
    second = Checkout(tmp_path / "second", ERI_CACHE=str(tmp_path / "second/cache"))
    first.copy_code()
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    stages = {name: stages[name] for name in ("index", "extract")}
    for name, content in {
        "dvc.yaml": yaml.safe_dump({"stages": stages}),
        "params.yaml": yaml.safe_dump(PARAMS),
        ".gitignore": "cache\n__pycache__\n",
        ".dvcignore": "__pycache__\n",
        "labels.csv": "clip_id,path,split,group,joy\n",
    }.items():
        (first.folder / name).write_text(content)
    for number in range(N_CLIPS):
        add_clip(first.folder, number)
    first.git("init -q")
    first.dvc("init -q")
    remote = f"url = {bucket}/remote\nendpointurl = {os.environ['AWS_ENDPOINT_URL']}\n"
    config = f"[core]\nremote = store\n['remote \"store\"']\n{remote}"
    (first.folder / ".dvc/config").write_text(config)
    first.run_stages()
    first.dvc("add -q media", "commit -q -f -d dvc.yaml", "push")
    first.git("add -A", "commit -qm first", "clone -q . ../second")
    assert "up to date" in second.dvc("pull", "repro")
    assert not (second.folder / "cache").exists()
    add_clip(second.folder, N_CLIPS)
    with second.entered():
        eri("store", "seed", "data/features/voice")
    output = second.run_stages()
    assert f"voice: {N_CLIPS + 1} of {N_CLIPS + 1} clips; 1 computed now" in output
