"""The whole pipeline after extraction, on generated features of the size of Hume-Reaction.

``python -m benchmarks.hume_size [--fast] [--keep FOLDER]``

25,067 clips of 2,222 people without a person column, four imported encoders (frames over time,
vectors of clips, sound, faces that tell people apart), some clips without a face or without sound;
labels as profiles whose largest value is 1, none on Test. Every stage runs as a process of its own.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
import yaml
from numpy.typing import NDArray

from benchmarks.common import ROOT, describe, timed
from benchmarks.corpora import TARGETS
from benchmarks.views import make_view
from features.cache import Embedding
from features.store import StoredClip, write_store
from pipeline.paths import REPORT
from pipeline.stages import STAGES
from pipeline.views import store_sha256

CLIPS = {"Train": 15_806, "Val": 4_657, "Test": 4_604}
PEOPLE = {"Train": 1_401, "Val": 413, "Test": 408}
"""Of that size: only how many there are in all, 2,222, is known of Hume-Reaction."""
FRAMES_PER_S = 3
BANDS = {"clip": 512, "resnet50": 2048, "egemaps": 88}
FACE_WIDTH = 128
NO_FACE, NO_SOUND = 0.02, 0.03
"""Shares of the clips."""

MEASURED = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)
"""
"""Runs a command. It is small itself: a process's peak memory begins with that of its parent."""


def main(
    fast: Annotated[bool, typer.Option(help="A tenth of the clips and people.")] = False,
    keep: Annotated[Path | None, typer.Option(help="Run here, and leave everything.")] = None,
) -> None:
    """Make the corpus, run the stages, and print seconds and peak memory of each."""
    print(describe())
    with tempfile.TemporaryDirectory() as name:
        folder = keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        make_corpus(folder, 0.1 if fast else 1)
        print("| stage | s | peak, MiB |\n|---|---|---|")
        total_s, most_mib = 0.0, 0.0
        for stage in stages(folder):
            seconds, (peak_mib, output) = timed(run_stage, folder, stage)
            total_s, most_mib = total_s + seconds, max(most_mib, peak_mib)
            print(f"| {' '.join(stage)} | {seconds:.1f} | {peak_mib:.0f} |", flush=True)
        print(f"| all | {total_s:.1f} | {most_mib:.0f} |\n{output}")
        size_mb = (folder / REPORT).stat().st_size / 1e6
        print(f"{REPORT}: {size_mb:.1f} MB")


def make_corpus(folder: Path, share: float) -> None:
    """Write labels, imported stores and parameters."""
    rng = np.random.default_rng(0)
    splits, people = draw_people(share, rng)
    n_clips = len(people)
    x, y, _ = make_view(n_clips, tuple(BANDS.values()), len(TARGETS), people=people)
    parts = np.split(x, np.cumsum(list(BANDS.values()))[:-1], axis=1)
    ids = np.array([f"{number:05d}" for number in range(n_clips)], dtype=object)
    labels = pd.DataFrame({"clip_id": ids, "file_id": [f"[{each}]" for each in ids]})
    labels["split"] = splits
    labels[TARGETS] = as_profiles(y)
    labels.loc[labels["split"] == "Test", TARGETS] = np.nan
    labels["age"] = rng.normal(33, 9, people.max() + 1).round(1)[people]
    labels["country"] = np.where(
        rng.random(people.max() + 1) < 0.5, "South Africa", "United States"
    )[people]
    labels.to_csv(folder / "labels.csv", index=False)

    has_face, has_sound = rng.random(n_clips) > NO_FACE, rng.random(n_clips) > NO_SOUND
    identity = rng.normal(size=(people.max() + 1, FACE_WIDTH))
    face = (identity[people] + 0.7 * rng.normal(size=(n_clips, FACE_WIDTH))).astype(np.float32)
    stores = {
        "clip": (frames(ids, parts[0], rng), "frame"),
        "resnet50": (vectors(ids, parts[1], has_face), "clip"),
        "egemaps": (vectors(ids, parts[2], has_sound), "clip"),
        "face": (vectors(ids, face, has_face), "clip"),
    }
    entries = {}
    for name, (content, level) in stores.items():
        store = Path("data/imports/features") / name
        write_store(folder / store, content, {"level": level})
        entries[name] = {"store": store.as_posix(), "sha256": store_sha256(folder / store)}
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["data"] |= {"labels": "labels.csv", "media": "."}
    params |= {"encoders": {}, "stores": entries}
    params["people"] = {"source": "faces", "encoder": "face"}
    params["evaluation"] |= {"slices": ["age", "country"], "baselines": ["age", "country"]}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


def draw_people(
    share: float, rng: np.random.Generator
) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """Give every clip a split and a person; nobody is in two splits."""
    splits, people = [], []
    for split, n_people in PEOPLE.items():
        n_clips, n_people = round(CLIPS[split] * share), max(round(n_people * share), 6)
        extra = rng.integers(n_people, size=n_clips - n_people)
        own = np.sort(np.concatenate([np.arange(n_people), extra]))
        people.append(own + sum(len(np.unique(each)) for each in people))
        splits += [split] * n_clips
    return np.array(splits, dtype=object), np.concatenate(people)


def as_profiles(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Make ratings from 1 to 100, divided by the largest of each clip."""
    ratings = np.clip(np.round(40 + 22 * scores), 1, 100)
    profiles: NDArray[np.float64] = ratings / ratings.max(axis=1, keepdims=True)
    return profiles


def frames(
    ids: NDArray[np.object_], base: NDArray[np.float32], rng: np.random.Generator
) -> Iterator[StoredClip]:
    """Yield clips of 8 to 14 seconds: the clip's own vector, drifting, with noise in each frame."""
    for clip_id, own in zip(ids, base, strict=True):
        time_s = np.arange(rng.integers(8 * FRAMES_PER_S, 14 * FRAMES_PER_S)) / FRAMES_PER_S
        drift = rng.standard_normal(len(own), dtype=np.float32) * time_s[:, None] / 20
        noise = rng.standard_normal((len(time_s), len(own)), dtype=np.float32)
        values = (own + drift + noise).astype(np.float16)
        yield StoredClip(clip_id, "0" * 64, Embedding(time_s, values))


def vectors(
    ids: NDArray[np.object_], values: NDArray[np.float32], there: NDArray[np.bool_]
) -> Iterator[StoredClip]:
    """Yield the clips that have the modality, one row each."""
    for clip_id, own in zip(ids[there], values[there], strict=True):
        yield StoredClip(clip_id, "0" * 64, Embedding(np.zeros(1), own[None]))


def stages(folder: Path) -> list[list[str]]:
    """List the stages of dvc.yaml with their arguments, in order."""
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    fits = [["fit", head] for head in params["heads"]]
    names = [stage.__name__ for stage in STAGES[1:]]  # but for the demo
    return [each for name in names for each in (fits if name == "fit" else [[name]])]


def run_stage(folder: Path, stage: list[str]) -> tuple[float, str]:
    """Run a stage; return its peak memory in MiB, and what it printed."""
    command = [sys.executable, "-c", MEASURED, sys.executable, "-m", "pipeline.stages", *stage]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "ERI_CACHE": str(folder / "cache")}
    out: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = subprocess.run(command, cwd=folder, env=environment, check=False, **out)
    if done.returncode:
        raise SystemExit(f"{' '.join(stage)} failed:\n{done.stdout}")
    text, _, peak_kib = done.stdout.rstrip().rpartition("\n")
    return int(peak_kib) / 1024, text


if __name__ == "__main__":
    typer.run(main)
