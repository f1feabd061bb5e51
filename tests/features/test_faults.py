"""Runs that are killed, starved or damaged: what is finished stays, and the result is the same.

``ERI_TEST_KILLS=100`` kills a hundred times; by default it is a handful.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import open_clip
import pytest

from features.encoders import make_encoder
from features.extraction import ExtractReport, extract, index_files
from features.identity import Sampling
from features.upkeep import verify_cache
from tests.features.stored import bytes_of

N_KILLS = int(os.environ.get("ERI_TEST_KILLS", "3"))
N_CLIPS = 20
MAX_FRAMES = 12
BATCH = 16
OUTPUTS = ["frames", "frames.failures.parquet", "sound", "sound.failures.parquet"]
SAMPLING = {"frame_rate_hz": 10, "sample_rate_hz": 8000}

# A run in a process of its own. It counts the pictures that go through the encoder, and takes its
# imports once for all runs: a run is a fork that the test can kill together with its workers.
SCRIPT = """
import errno, json, os, sys
from pathlib import Path
import open_clip, torch
from features.extraction import index_files
from features.encoders import make_encoder
from features.encoders.torch_model import TorchFrameModel
from features.extraction import extract
from features.identity import Sampling

config, media, counter, sampling = sys.argv[1:]
open_clip.add_model_config(config)
encoders = {
    "frames": make_encoder({"kind": "open_clip", "model": Path(config).stem, "weights": "random"}),
    "sound": make_encoder({"kind": "opensmile", "model": "eGeMAPSv02"}),
}
clips = index_files({p.stem: p for p in sorted(Path(media).iterdir())}, progress=False)
submit = TorchFrameModel.submit

def counting(self, pictures):
    with open(counter, "ab") as file:
        file.write(b"." * len(pictures))
    return submit(self, pictures)

TorchFrameModel.submit = counting
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if child == 0:
        os.setsid()
        if "free_bytes" in order:
            free, write = [order["free_bytes"]], Path.write_bytes

            def write_while_there_is_room(path, content):
                n_bytes = write(path, content[:free[0]])
                free[0] -= n_bytes
                if n_bytes < len(content):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            Path.write_bytes = write_while_there_is_room
        try:
            extract(clips, encoders, Sampling(**json.loads(sampling)), Path(order["out"]),
                    cache_root=Path(order["cache"]), progress=False)
        except OSError as error:
            print(json.dumps({"error": str(error)}), flush=True)
        else:
            print(json.dumps({"error": None}), flush=True)
        os._exit(0)
    print(json.dumps({"pid": child}), flush=True)
    os.waitpid(child, 0)
    print(json.dumps({"ended": True}), flush=True)
"""


class Runner:
    """Starts runs and reports how they ended."""

    def __init__(self, process: subprocess.Popen, counter: Path) -> None:
        self._process = process
        self._counter = counter
        assert self._read() == {"ready": True}

    def start(self, out: Path, cache: Path, **limits: int) -> int:
        order = {"out": str(out), "cache": str(cache)} | limits
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._read()["pid"]

    def result(self) -> dict | None:
        """Return the run's last word; None when it was killed before it."""
        first = self._read()
        if "ended" in first:
            return None
        assert self._read() == {"ended": True}
        return first

    def run(self, out: Path, cache: Path, **limits: int) -> dict | None:
        self.start(out, cache, **limits)
        return self.result()

    def n_pictures(self) -> int:
        return self._counter.stat().st_size if self._counter.exists() else 0

    def _read(self) -> dict:
        line = self._process.stdout.readline()
        assert line, "the runner died"
        return json.loads(line)


@pytest.fixture
def media(make_clip, tmp_path) -> Path:
    for k in range(N_CLIPS):
        make_clip(f"media/c{k:02d}.mp4", n_frames=MAX_FRAMES - k % 9)
    return tmp_path / "media"


@pytest.fixture
def runner(request, media, tmp_path, tiny_clip) -> Iterator[Runner]:
    config = tmp_path / f"{tiny_clip}.json"
    config.write_text(json.dumps(open_clip.get_model_config(tiny_clip)))
    counter = tmp_path / "pictures"
    arguments = [str(config), str(media), str(counter), json.dumps(SAMPLING)]
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(request.config.rootpath)},
    )
    with process:
        yield Runner(process, counter)
        process.stdin.close()


@pytest.mark.timeout(120 + 30 * N_KILLS)
def test_kills_at_random_moments_lose_at_most_the_batch_in_flight(runner, tmp_path):
    began_s = time.monotonic()
    assert runner.run(tmp_path / "undisturbed", tmp_path / "cache") == {"error": None}
    duration_s = min(time.monotonic() - began_s, 20)  # the first run may have been disturbed
    expected = bytes_of(tmp_path / "undisturbed")
    n_needed = runner.n_pictures()

    moments = random.Random(0)
    n_kills, n_rounds = 0, 0
    while n_kills < N_KILLS:  # a round ends with a run that got through
        n_rounds += 1
        cache, out = (tmp_path / f"{name}{n_rounds}" for name in ("cache", "out"))
        n_before, n_kills_before = runner.n_pictures(), n_kills
        while True:
            pid = runner.start(out, cache)
            if n_kills < N_KILLS:
                time.sleep(moments.uniform(0, duration_s))
                with suppress(ProcessLookupError):  # it was quicker
                    os.killpg(_group(pid), signal.SIGKILL)
            ended = runner.result()
            if ended is not None:
                break
            n_kills += 1
        assert ended == {"error": None}
        assert bytes_of(out) == expected
        # A kill costs the batch in flight, and what its clips had in the batch before.
        n_lost = (n_kills - n_kills_before) * (BATCH + MAX_FRAMES)
        assert runner.n_pictures() - n_before <= n_needed + n_lost
        assert sorted(path.name for path in out.iterdir()) == OUTPUTS  # and nothing hidden
        assert [what for _, what in verify_cache(cache) if what] == []


def test_a_disk_that_fills_up_keeps_what_was_written(runner, tmp_path):
    cache = tmp_path / "cache"
    ended = runner.run(tmp_path / "out", cache, free_bytes=10_000)
    assert "cannot be written" in ended["error"]
    assert "make room" in ended["error"]
    assert not (tmp_path / "out").exists()
    assert [what for _, what in verify_cache(cache) if what] == []
    n_before = runner.n_pictures()
    kept = {path: path.read_bytes() for path in cache.rglob("*.safetensors")}
    assert kept
    assert list(cache.rglob("*.part")) == []
    assert runner.run(tmp_path / "out", cache) == {"error": None}
    assert all(path.read_bytes() == content for path, content in kept.items())
    n_resumed = runner.n_pictures() - n_before
    assert runner.run(tmp_path / "other", tmp_path / "cache2") == {"error": None}
    assert n_resumed < runner.n_pictures() - n_before - n_resumed
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "other")


def test_two_runs_at_once_share_one_cache(request, runner, tmp_path, media):
    runner.start(tmp_path / "one", tmp_path / "cache")
    config = tmp_path / "eri-tiny.json"
    open_clip.add_model_config(config)
    _extract_here(media, tmp_path / "two", tmp_path / "cache")
    assert runner.result() == {"error": None}
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")
    assert [what for _, what in verify_cache(tmp_path / "cache") if what] == []


def test_damaged_embeddings_are_named_and_computed_again(media, tmp_path, tiny_clip):
    cache = tmp_path / "cache"
    _extract_here(media, tmp_path / "one", cache)
    for folder in cache.iterdir():
        for path in sorted(folder.rglob("*.safetensors"))[:3]:
            content = bytearray(path.read_bytes())
            middle = len(content) // 2
            content[middle : middle + 20] = bytes(20)
            path.write_bytes(content)
    with pytest.warns(UserWarning, match=r"embedding cache: .*computed again"):
        report = _extract_here(media, tmp_path / "two", cache)
    assert report.n_computed == {"frames": 3, "sound": 3}
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")


def _extract_here(media: Path, out: Path, cache: Path) -> ExtractReport:
    encoders = {
        "frames": make_encoder({"kind": "open_clip", "model": "eri-tiny", "weights": "random"}),
        "sound": make_encoder({"kind": "opensmile", "model": "eGeMAPSv02"}),
    }
    clips = index_files({p.stem: p for p in sorted(media.iterdir())}, progress=False)
    return extract(clips, encoders, Sampling(**SAMPLING), out, cache_root=cache, progress=False)


def _group(pid: int) -> int:
    """The fork makes a group of its own a moment after it was started."""
    while (group := os.getpgid(pid)) != pid:
        time.sleep(0.001)
    return group
