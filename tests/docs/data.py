"""The data that the guides name: recordings with ratings, features of others, public data sets."""

import shutil
import wave
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.imports.layouts import HUME_TARGETS
from tests.media import tone, write_clip
from tests.pipeline.imports.conftest import write_cremad, write_muse


def write_recordings(folder: Path) -> None:
    """Write clips whose brightness tells the targets, of people who are in several of them."""
    rng = np.random.default_rng(0)
    n_people, n_clips = 10, 3
    table = pd.DataFrame({"clip_id": [f"c{n:02d}" for n in range(n_people * n_clips)]})
    table["person"] = [f"p{n // n_clips}" for n in range(len(table))]
    table["country"] = np.where(np.arange(len(table)) % 2, "South Africa", "United States")
    table["age"] = 20 + np.arange(len(table)) // n_clips
    levels = rng.integers(20, 230, len(table))
    table["joy"] = np.clip(levels / 2.5 + rng.normal(0, 5, len(table)), 1, 100).round(1)
    table["awe"] = np.clip(100 - table["joy"] + rng.normal(0, 5, len(table)), 1, 100).round(1)
    for number, (clip_id, level) in enumerate(zip(table["clip_id"], levels, strict=True)):
        path = folder / "videos" / f"{clip_id}.mp4"
        _write_short(path, level=int(level), sound_s=0.4 + 0.01 * (number % 7))
    table.to_csv(folder / "ratings.csv", index=False)
    own = table.drop(columns="person").assign(path=table["clip_id"] + ".mp4", group=table["person"])
    own["split"] = np.where(np.arange(len(own)) < 21, "Train", "Val")
    own[["joy", "awe"]] /= 100
    own.to_csv(folder / "my_labels.csv", index=False)
    _write_short(folder / "clip.mp4", n_frames=30)
    for shard, names in (("a", ("c00", "c01")), ("b", ("c02",))):
        for name in names:
            (folder / "shards" / shard).mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / "videos" / f"{name}.mp4", folder / "shards" / shard)


def write_features(folder: Path) -> None:
    """Write features and transcripts that others made, in usual forms."""
    rng = np.random.default_rng(1)
    ids = pd.read_csv(folder / "ratings.csv")["clip_id"]
    (folder / "feats" / "fau").mkdir(parents=True)
    for clip_id in ids:
        table = pd.DataFrame(rng.uniform(size=(3, 2)), columns=["AU01", "AU02"])
        table.insert(0, "timestamp", [0.0, 0.5, 1.0])
        table.to_csv(folder / "feats" / "fau" / f"{clip_id}.csv", index=False)
    vectors = rng.normal(size=(len(ids), 4)).astype(np.float32)
    clap = pd.DataFrame(vectors, columns=[f"x{k}" for k in range(4)])
    clap.insert(0, "clip_id", ids)
    clap.to_parquet(folder / "clap.parquet", index=False)
    np.save(folder / "vectors.npy", vectors)
    (folder / "ids.txt").write_text("\n".join(ids))
    (folder / "subtitles").mkdir()
    for clip_id in ids:
        cue = "1\n00:00:00,100 --> 00:00:00,400\nOh, what a joy.\n"
        (folder / "subtitles" / f"{clip_id}.srt").write_text(cue)
    pd.DataFrame({"clip_id": ids, "text": "What is this?"}).to_csv(folder / "said.csv", index=False)


def write_neighbours(folder: Path) -> None:
    """Write what lies beside a project: data sets, and a colleague's stores."""
    beside = folder.parent
    (beside / "dvc-remote").mkdir()
    shutil.copytree(folder / "data" / "features", beside / "colleague" / "features")
    hume = beside / "hume_reaction"
    rows = [",".join(["File_ID", "Split", *HUME_TARGETS, "Age", "Country"])]
    for number, split in enumerate(["train"] * 12 + ["val"] * 4 + ["test"] * 2):
        _write_short(hume / split / "mp4" / f"{number:05d}.mp4", level=20 + 10 * number)
        labels = [1.0, *[round(0.1 * (number % 8), 1)] * 6] if split != "test" else [""] * 7
        values = [f"[{number:05d}]", split.title(), *labels, 20 + number, "South Africa"]
        rows.append(",".join(map(str, values)))
    (hume / "data_info.csv").write_text("\n".join(rows) + "\n")
    write_muse(beside / "muse_2022")
    voices = sorted((write_cremad(beside / "CREMA-D") / "AudioWAV").iterdir())
    for number, path in enumerate(voices):
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 16000, 0, "NONE", ""))
            file.writeframes((tone(1 + number / 50) * 20000).astype("<i2").tobytes())


def _write_short(
    path: Path, n_frames: int = 4, level: int = 128, sound_s: float | None = None
) -> None:
    sound_s = n_frames / 10 if sound_s is None else sound_s
    write_clip(path, n_frames=n_frames, size=(32, 32), level=level, sound_s=sound_s)
