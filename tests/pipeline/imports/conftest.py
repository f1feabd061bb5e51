"""Projects to import into, and how to run `eri import` there."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from pipeline.imports.layouts import HUME_TARGETS
from tests.pipeline.commands import eri

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 65536\n"


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


def write_cremad(folder: Path) -> Path:
    """Write CREMA-D: three clips each of five actors, rated by voice, face and both."""
    actors = [str(1001 + k) for k in range(5)]
    clips = [f"{actor}_IEO_{end}" for actor in actors for end in ("ANG_HI", "HAP_LO", "NEU_XX")]
    names = ("Anger", "Disgust", "Fear", "Happy", "Neutral", "Sad")
    rows = []
    for digit in (1, 2, 3):
        for k, clip in enumerate(clips, start=1):
            levels = [10 * digit + (7 * k + 3 * n) % 50 for n in range(6)]
            levels[1] = -1  # nobody voted for disgust
            rows.append([digit * 100000 + k, 6, 0, 1, 1, 1, 1, clip, *levels])
    header = ["", *"ADFHNS", "fileName", *[f"mean{name}Resp" for name in names]]
    for name in ("processedResults", "AudioWAV", "VideoFlash"):
        (folder / name).mkdir(parents=True)
    votes = pd.DataFrame(rows, columns=header)
    votes.to_csv(folder / "processedResults/tabulatedVotes.csv", index=False)
    people = pd.DataFrame({"ActorID": actors, "Age": range(20, 25)})
    people["Sex"] = ["Female", "Male", "Female", "Male", "Female"]
    people.to_csv(folder / "VideoDemographics.csv", index=False)
    for clip in clips:
        (folder / f"AudioWAV/{clip}.wav").touch()
        (folder / f"VideoFlash/{clip}.flv").touch()
    return folder


@pytest.fixture
def run(request, tmp_path, monkeypatch):
    """Run `eri import ... --json` in an empty project."""
    project = tmp_path / "project"
    project.mkdir()
    shutil.copy(request.config.rootpath / "params.yaml", project)
    monkeypatch.chdir(project)
    return import_json


@pytest.fixture
def folder(content, clips, tmp_path, monkeypatch) -> Path:
    """The working folder: labels of 40 clips, no media, no features yet."""
    clips["clip_id"] = [f"[{k:05d}]" for k in clips.index]
    clips.drop(columns="duration_s").to_csv(tmp_path / "labels.csv", index=False)
    (tmp_path / "media").mkdir()
    content["data"] |= {"labels": "labels.csv", "media": "media"}
    content["evaluation"] |= {"slices": [], "baselines": []}
    content |= {"encoders": {}, "heads": {"ridge": {"kind": "ridge"}}}
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
