"""What DVC brings from an S3-compatible server is not computed again."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import write_clip

ROOT = Path(__file__).parents[2]
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


def shell(folder: Path, commands: str) -> str:
    """Run commands in a checkout; return what the last one prints."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    names = {
        f"GIT_{who}_{what}": "test@localhost"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    environment = os.environ | names | {"PATH": path, "GIT_CONFIG_GLOBAL": os.devnull}
    environment |= {"PYTHONPATH": str(folder), "ERI_CACHE": str(folder / "cache")}
    output = ""
    for command in commands.strip().splitlines():
        done = subprocess.run(
            command.split(), cwd=folder, env=environment, text=True, capture_output=True
        )
        output = done.stdout + done.stderr
        assert done.returncode == 0, output
    return output


def add_clip(folder: Path, number: int) -> None:
    write_clip(folder / f"media/c{number}.mp4", n_frames=0, sound_s=0.5 + number / 10)
    with (folder / "labels.csv").open("a") as labels:
        labels.write(f"c{number},c{number}.mp4,Train,p{number},0.{number}\n")


def test_another_clone_pulls_computes_nothing_and_then_one_new_clip(tmp_path, bucket):
    pytest.importorskip("dvc_s3")
    first, second = tmp_path / "first", tmp_path / "second"
    for name in ("features", "models", "pipeline"):
        shutil.copytree(ROOT / name, first / name, ignore=shutil.ignore_patterns("__pycache__"))
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    stages = {name: stages[name] for name in ("index", "extract")}
    (first / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    (first / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    (first / ".gitignore").write_text("cache\n__pycache__\n")
    (first / ".dvcignore").write_text("__pycache__\n")
    (first / "labels.csv").write_text("clip_id,path,split,group,joy\n")
    for number in range(N_CLIPS):
        add_clip(first, number)
    shell(
        first,
        f"""
        git init -q
        dvc init -q
        dvc add -q media
        dvc remote add -q -d store {bucket}/remote
        dvc remote modify store endpointurl {os.environ["AWS_ENDPOINT_URL"]}
        dvc repro
        dvc push
        git add -A
        git commit -qm first
        git clone -q . ../second
        """,
    )
    shell(second, "dvc pull")
    assert "up to date" in shell(second, "dvc repro")
    assert not (second / "cache").exists()
    add_clip(second, N_CLIPS)
    output = shell(second, "dvc add -q media\neri store seed data/features/voice\ndvc repro")
    assert f"voice: {N_CLIPS + 1} of {N_CLIPS + 1} clips; 1 computed now" in output
