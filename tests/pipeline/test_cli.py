import json
import subprocess
import sys
from functools import partial

import pytest
import yaml

from features.store import read_store
from pipeline import cli
from pipeline.doctor import examine
from tests.pipeline.commands import eri


@pytest.fixture
def params_file(request, tmp_path, tiny_clip, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ERI_CACHE", str(tmp_path / "cache"))
    content = yaml.safe_load((request.config.rootpath / "params.yaml").read_text())
    content["encoders"] = {
        "tiny": {"kind": "open_clip", "model": tiny_clip, "weights": "random"},
        "sound": {"kind": "opensmile", "model": "eGeMAPSv02"},
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))


def test_extract_writes_one_store_per_encoder_and_fails_when_too_many_clips_did(
    make_clip, params_file, tmp_path
):
    extract = partial(eri, "extract", tmp_path / "clips", "--json", "--out", tmp_path / "out")
    make_clip("clips/a.mp4")
    make_clip("clips/b.mp4", sound_s=0)
    content = json.loads(extract().stdout)
    assert content["tiny"]["n_embedded"] == content["tiny"]["n_computed"] == 2
    assert [f["clip_id"] for f in content["sound"]["failures"]] == ["b"]
    assert set(read_store(tmp_path / "out" / "tiny").clip_id) == {"a", "b"}
    found = {each.subject: each for each in examine()}
    assert "tiny, random, 8 numbers each, 2 clips cached" in found["encoders.tiny"].detail
    assert "88 numbers each, 1 clips cached" in found["encoders.sound"].detail
    (tmp_path / "clips/c.mp4").write_bytes(b"no video")
    shown = extract("--encoders", "sound", status=1)
    assert "sound: 1 of 3 clips failed, more than `data.max_failed_share`" in str(shown.exception)
    assert json.loads(shown.stdout)["sound"]["n_embedded"] == 1
    assert set(read_store(tmp_path / "out" / "sound").clip_id) == {"a"}  # written all the same


def all_commands():
    yield from ([name] for name in cli.COMMANDS)
    for name, group in cli.GROUPS.items():
        yield from ([name, each.name] for each in group.registered_commands)


@pytest.mark.parametrize("command", [*all_commands()], ids=" ".join)
def test_every_command_shows_an_example_and_speaks_json(command):
    shown = eri(*command, "--help")
    assert f"Example: eri {' '.join(command)}" in shown.stdout
    assert "--json" in shown.stdout or command == ["serve"]  # a page is no answer
    eri(*command, "--no-such-option", status=2)


def test_no_help_waits_for_a_heavy_library(request):
    code = "import json, sys, pipeline.cli; print(json.dumps([*sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, cwd=request.config.rootpath, check=True
    )
    heavy = {"torch", "sklearn", "scipy", "lightgbm", "optuna", "dvc", "rich", "cv2", "fastapi"}
    assert not heavy.intersection(json.loads(done.stdout))
