"""Runs that are killed, starved or damaged: what is finished stays, and the result is the same.

``ERI_TEST_KILLS=100`` kills a hundred times; by default it is a handful.
"""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import open_clip
import pytest

from features.cache import verify_cache
from features.encoders import make_encoder
from features.encoders.torch_model import TorchModel
from features.extraction import ExtractReport, extract, index_files
from features.identity import Sampling
from tests.features.stored import bytes_of
from tests.media import write_clip

N_KILLS = int(os.environ.get("ERI_TEST_KILLS", "3"))
N_CLIPS = 20
MAX_FRAMES = 12
BATCH = 16
OUTPUTS = ["frames", "frames.failures.parquet", "sound", "sound.failures.parquet"]


def extract_all(folder: Path, out: str | Path, cache: str | Path) -> ExtractReport:
    """Embed ``media`` in a folder, with the tiny CLIP whose configuration lies beside."""
    config = folder / "eri-tiny.json"
    open_clip.add_model_config(config)
    encoders = {
        "frames": make_encoder({"kind": "open_clip", "model": config.stem, "weights": "random"}),
        "sound": make_encoder({"kind": "opensmile", "model": "eGeMAPSv02"}),
    }
    clips = index_files({p.stem: p for p in sorted(folder.glob("media/*"))}, progress=False)
    sampling = Sampling(frame_rate_hz=10, sample_rate_hz=8000)
    folders = {"destination": folder / out, "cache_root": folder / cache}
    return extract(clips, encoders, sampling, **folders, progress=False)


def serve(folder: Path, extract_all: Callable[..., ExtractReport] = extract_all) -> None:
    """Run as ordered on standard input, and count the pictures that go through the encoder.

    A run is a fork that the test can kill together with its workers: imports are paid once.
    """
    submit = TorchModel.submit

    def counting(self: TorchModel, pictures):
        with (folder / "pictures").open("ab") as file:
            file.write(b"." * len(pictures))
        return submit(self, pictures)

    TorchModel.submit = counting
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            os.setsid()
            try:
                report = extract_all(folder, **order)
            except Exception as error:
                print(json.dumps({"error": str(error)}), flush=True)
            else:
                print(json.dumps({"error": None, "n_computed": report.n_computed}), flush=True)
            os._exit(0)
        print(json.dumps({"pid": child}), flush=True)
        os.waitpid(child, 0)
        print(json.dumps({"ended": True}), flush=True)


class Runner:
    """Starts runs and reports how they ended."""

    def __init__(self, process: subprocess.Popen, counter: Path) -> None:
        self._process = process
        self._counter = counter
        counter.touch()

    def start(self, out: str, cache: str, **options: str) -> int:
        order = {"out": out, "cache": cache, **options}
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

    def run(self, out: str, cache: str, **options: str) -> dict | None:
        self.start(out, cache, **options)
        return self.result()

    def n_pictures(self) -> int:
        return self._counter.stat().st_size

    def _read(self) -> dict:
        for line in self._process.stdout:  # Ray prints between
            if line.startswith("{"):
                return json.loads(line)
        raise AssertionError("the runner died")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_clip) -> Path:
    folder: Path = tmp_path_factory.mktemp("faults")
    for k in range(N_CLIPS):
        write_clip(folder / f"media/c{k:02d}.mp4", n_frames=MAX_FRAMES - k % 9)
    config = open_clip.get_model_config(tiny_clip)
    (folder / f"{tiny_clip}.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def runner(request, folder) -> Iterator[Runner]:
    script = f"from tests.features.test_faults import *; serve(Path({str(folder)!r}))"
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(request.config.rootpath)},
    )
    with process:
        yield Runner(process, folder / "pictures")
        process.stdin.close()


@pytest.fixture(scope="module")
def undisturbed(runner) -> tuple[float, int]:
    """Seconds, and pictures through the encoder, of a run to ``undisturbed`` that got through."""
    began_s, n_before = time.monotonic(), runner.n_pictures()
    assert runner.run("undisturbed", "cache")["error"] is None
    return min(time.monotonic() - began_s, 20), runner.n_pictures() - n_before


def damage_in(cache: Path) -> list[str]:
    return [what for _, what in verify_cache(cache) if what]


@pytest.mark.timeout(300 + 60 * N_KILLS)
def test_kills_at_random_moments_lose_at_most_the_batch_in_flight(runner, folder, undisturbed):
    duration_s, n_needed = undisturbed
    moments = random.Random(0)
    n_kills, n_rounds = 0, 0
    while n_kills < N_KILLS:  # a round ends with a run that got through
        n_rounds += 1
        out, cache = f"out{n_rounds}", f"cache{n_rounds}"
        n_before, n_kills_before, ended = runner.n_pictures(), n_kills, None
        while ended is None:
            pid = runner.start(out, cache)
            if n_kills < N_KILLS:
                time.sleep(moments.uniform(0, duration_s))
                with suppress(ProcessLookupError):  # it was quicker
                    os.killpg(_group(pid), signal.SIGKILL)
            ended = runner.result()
            n_kills += ended is None
        assert ended["error"] is None
        assert bytes_of(folder / out) == bytes_of(folder / "undisturbed")
        # A kill costs the batch in flight, and what its clips had in the batch before.
        n_lost = (n_kills - n_kills_before) * (BATCH + MAX_FRAMES)
        assert runner.n_pictures() - n_before <= n_needed + n_lost
        assert sorted(path.name for path in (folder / out).iterdir()) == OUTPUTS  # nothing hidden
        assert damage_in(folder / cache) == []


def test_a_disk_that_fills_up_keeps_what_was_written(folder, undisturbed, monkeypatch):
    write, free_bytes = Path.write_bytes, 10_000

    def write_while_there_is_room(path: Path, content: bytes) -> None:
        nonlocal free_bytes
        free_bytes -= write(path, content[:free_bytes])
        if not free_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", write_while_there_is_room)
        with pytest.raises(OSError, match=r"cannot be written.*make room"):
            extract_all(folder, "full", "small")
    assert not (folder / "full").exists()
    assert damage_in(folder / "small") == []
    kept = {path: path.read_bytes() for path in folder.glob("small/**/*.safetensors")}
    assert kept
    assert list(folder.glob("small/**/*.part")) == []
    report = extract_all(folder, "full", "small")
    n_contents = len({path.read_bytes() for path in folder.glob("media/*")})  # some are copies
    assert sum(report.n_computed.values()) == 2 * n_contents - len(kept)
    assert all(path.read_bytes() == content for path, content in kept.items())
    assert bytes_of(folder / "full") == bytes_of(folder / "undisturbed")


def test_two_runs_at_once_share_one_cache(runner, folder):
    runner.start("one", "common")
    extract_all(folder, "two", "common")
    assert runner.result()["error"] is None
    assert bytes_of(folder / "one") == bytes_of(folder / "two")
    assert damage_in(folder / "common") == []


def test_damaged_embeddings_are_named_and_computed_again(folder):
    extract_all(folder, "one", "common")
    for each in (folder / "common").iterdir():
        for path in sorted(each.rglob("*.safetensors"))[:3]:
            content = bytearray(path.read_bytes())
            middle = len(content) // 2
            content[middle : middle + 20] = bytes(20)
            path.write_bytes(content)
    with pytest.warns(UserWarning, match=r"embedding cache: .*computed again"):
        report = extract_all(folder, "two", "common")
    assert report.n_computed == {"frames": 3, "sound": 3}
    assert bytes_of(folder / "one") == bytes_of(folder / "two")


def _group(pid: int) -> int:
    """The fork makes a group of its own a moment after it was started."""
    while (group := os.getpgid(pid)) != pid:
        time.sleep(0.001)
    return group
