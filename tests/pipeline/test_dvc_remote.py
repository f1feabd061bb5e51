"""What DVC brings from an S3-compatible server is not computed again."""

import os
from pathlib import Path

import pytest
import yaml

from tests.media import write_clip
from tests.pipeline.checkouts import ROOT, copy_code, dvc, entered, environment, run, run_stages
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


def git(folder: Path, *commands: str) -> None:
    for command in commands:
        run(folder, "git", *command.split(), **environment(folder))


def add_clip(folder: Path, number: int) -> None:
    write_clip(folder / f"media/c{number}.mp4", n_frames=0, sound_s=0.5 + number / 10)
    with (folder / "labels.csv").open("a") as labels:
        labels.write(f"c{number},c{number}.mp4,Train,p{number},0.{number}\n")


def test_another_clone_pulls_computes_nothing_and_then_one_new_clip(tmp_path, bucket):
    pytest.importorskip("dvc_s3")
    first, second = tmp_path / "first", tmp_path / "second"
    copy_code(first)
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    stages = {name: stages[name] for name in ("index", "extract")}
    (first / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    (first / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    (first / ".gitignore").write_text("cache\n__pycache__\n")
    (first / ".dvcignore").write_text("__pycache__\n")
    (first / "labels.csv").write_text("clip_id,path,split,group,joy\n")
    for number in range(N_CLIPS):
        add_clip(first, number)
    git(first, "init -q")
    dvc(first, "init -q", **environment(first))
    remote = f"url = {bucket}/remote\nendpointurl = {os.environ['AWS_ENDPOINT_URL']}\n"
    config = f"[core]\nremote = store\n['remote \"store\"']\n{remote}"
    (first / ".dvc/config").write_text(config)
    run_stages(first, ERI_CACHE=str(first / "cache"))
    dvc(first, "add -q media", "commit -q -f -d dvc.yaml", "push", **environment(first))
    git(first, "add -A", "commit -qm first", "clone -q . ../second")
    assert "up to date" in dvc(second, "pull", "repro", **environment(second))
    assert not (second / "cache").exists()
    add_clip(second, N_CLIPS)
    cache = str(second / "cache")
    with entered(second, ERI_CACHE=cache):
        eri("store", "seed", "data/features/voice")
    output = run_stages(second, ERI_CACHE=cache)
    assert f"voice: {N_CLIPS + 1} of {N_CLIPS + 1} clips; 1 computed now" in output
