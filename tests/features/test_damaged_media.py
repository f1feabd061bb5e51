"""Media files that are damaged or odd: none stops a run, none goes missing, none is taken amiss.

``ERI_TEST_MUTATIONS=1000`` makes a thousand files; by default it is 120.
"""

import os
from pathlib import Path

import pandas as pd
import pytest

from features.encoders import make_encoder
from features.extraction import extract, index_files
from features.extraction.workers import Workers
from features.identity import Sampling
from features.store import read_store
from tests.features import work
from tests.features.mp4_patches import PATCHES
from tests.features.mutations import mutate
from tests.features.odd_media import FILMS, GRID_HZ, Film, headers_that_lie, write_film
from tests.features.stored import bytes_of

N_MUTATIONS = int(os.environ.get("ERI_TEST_MUTATIONS", "120"))
IS_FULL = N_MUTATIONS >= 1000
STEPS = {"read", "probe", "decode", "stream", "face", "encode"}
MAX_MEMORY_BYTES = 1.5 * 2**30
MAX_PROCESSOR_S = 20


@pytest.fixture
def source_clips(tmp_path, request) -> list[Path]:
    """Small clips made here, and the shared ones: the two smallest, or all for a thousand files."""
    folder = tmp_path / "sources"
    folder.mkdir()
    names = ["whole.mp4", "index_first.mp4", "fragments.mp4", "stereo.mp4"]
    clips = [write_film(folder / name, FILMS[name]) for name in names]
    clips.append(write_film(folder / "long.mp4", Film(tuple(k / 10 for k in range(100)))))
    shared = Path(request.config.rootpath).parent / "shared" / "clips"
    real = sorted([*shared.glob("*.mp4"), *shared.glob("*.mov")], key=lambda p: p.stat().st_size)
    return clips + (real if IS_FULL else real[:2])


@pytest.mark.timeout(3600 if IS_FULL else 300)
def test_damaged_files_are_embedded_or_noted(source_clips, tiny_clip, tmp_path):
    silence_s = 600 if IS_FULL else 60
    made = mutate(source_clips, tmp_path / "clips", N_MUTATIONS, seed=0, silence_s=silence_s)
    encoders = {
        "pictures": make_encoder({"kind": "open_clip", "model": tiny_clip, "weights": "random"}),
        "sound": make_encoder({"kind": "opensmile", "model": "eGeMAPSv02"}),
    }
    clips = index_files({name: each.path for name, each in made.items()}, progress=False)
    assert clips["clip_id"].tolist() == list(made)
    for out in ("out", "again"):
        extract(
            clips,
            encoders,
            Sampling(frame_rate_hz=GRID_HZ, sample_rate_hz=16000),
            tmp_path / out,
            cache_root=tmp_path / "cache",
            progress=False,
        )
    assert bytes_of(tmp_path / "again") == bytes_of(tmp_path / "out")
    for name in encoders:
        failures = pd.read_parquet(tmp_path / "out" / f"{name}.failures.parquet")
        assert failures["clip_id"].is_unique
        assert set(failures["step"]) <= STEPS
        assert failures["reason"].str.len().min() > 10
        # A worker that died or hung costs minutes, and a Python error was not foreseen.
        bad = failures["reason"].str.contains(r"died|no result within|^\w+(?:Error|Exception): ")
        assert failures[bad].to_dict("records") == []
        n_rows = pd.Series(read_store(tmp_path / "out" / name).clip_id).value_counts()
        outcomes = dict.fromkeys(failures["clip_id"], "failed")
        outcomes |= dict.fromkeys(n_rows.index, "embedded")
        assert len(outcomes) == len(failures) + len(n_rows)  # none is both
        wanted = {key: getattr(each, name) for key, each in made.items()}
        assert outcomes == {k: outcomes[k] if w == "either" else w for k, w in wanted.items()}
    n_wanted = {key: each.n_pictures for key, each in made.items() if each.n_pictures}
    n_pictures = pd.Series(read_store(tmp_path / "out" / "pictures").clip_id).value_counts()
    assert n_pictures[list(n_wanted)].to_dict() == pytest.approx(n_wanted, abs=1)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("box", [*sorted({patch.box for patch in PATCHES.values()}), None])
def test_absurd_numbers_in_a_header_cost_neither_time_nor_memory(box, tmp_path):
    content = write_film(tmp_path / "clip.mp4", Film()).read_bytes()
    patches = {f"{name}.mp4": patch for name, patch in PATCHES.items() if patch.box == box}
    files = {name: patch.apply(content) for name, patch in patches.items()} or headers_that_lie()
    for name, absurd in files.items():
        (tmp_path / name).write_bytes(absurd)
    tasks = [tmp_path / name for name in files]
    with Workers(1) as workers, workers.run(work.decode, tasks, stall_limit_s=300) as events:
        found = {task: event for task, event in events if isinstance(event, dict)}
    assert set(found) == set(tasks)  # else a worker died or hung
    assert max(each["processor_s"] for each in found.values()) < MAX_PROCESSOR_S
    assert max(each["peak_bytes"] or 0 for each in found.values()) < MAX_MEMORY_BYTES
