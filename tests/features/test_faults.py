"""Runs that are killed, starved or damaged: what is finished stays, and the result is the same.

``ERI_TEST_KILLS=100`` kills a hundred times; by default it is a handful.
"""

import errno
import multiprocessing
import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from features.cache import verify_cache
from features.encoders import make_encoder
from features.encoders.torch_model import TorchModel
from features.extraction import ExtractReport, extract, index_files
from features.identity import Sampling
from tests.features.stored import bytes_of
from tests.media import write_clip

N_KILLS = int(os.environ.get("ERI_TEST_KILLS", "3"))
N_CLIPS = 16
MAX_FRAMES = 12
BATCH = 16
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__])
OUTPUTS = ["frames", "frames.failures.parquet", "sound", "sound.failures.parquet"]


def write_corpus(folder: Path) -> Path:
    for k in range(N_CLIPS):
        clip = folder / f"media/c{k:02d}.mp4"
        write_clip(clip, n_frames=MAX_FRAMES - k % 9, sound_s=0.5 + k / 20)
    return folder


def extract_all(folder: Path, out: str, cache: str, on: str | None = None) -> ExtractReport:
    """Embed ``media`` in a folder with two encoders."""
    network = {"kind": "timm", "model": "test_efficientnet", "weights": "random"}
    sound = {"kind": "opensmile", "model": "eGeMAPSv02"}
    encoders = {"frames": make_encoder(network), "sound": make_encoder(sound)}
    clips = index_files({p.stem: p for p in sorted(folder.glob("media/*"))}, progress=False)
    sampling = Sampling(frame_rate_hz=10, sample_rate_hz=8000)
    places = {"destination": folder / out, "cache_root": folder / cache}
    return extract(clips, encoders, sampling, **places, on=on, progress=False)


class Run:
    """A run in a process whose group, its workers included, can be killed.

    The process is forked from a server that has imported all of it; `submit` counts the pictures
    that go through the encoder in the file ``pictures``.
    """

    def __init__(self, folder: Path, *order: str) -> None:
        self._hear, say = multiprocessing.Pipe(duplex=False)
        order = folder, order, say, dict(os.environ)
        self._process = FORKS.Process(target=extract_and_say, args=order)
        self._process.start()
        say.close()

    def kill(self) -> None:
        with suppress(ProcessLookupError):  # it was quicker
            while os.getpgid(self._process.pid) != self._process.pid:  # it makes it in a moment
                time.sleep(0.001)
            os.killpg(self._process.pid, signal.SIGKILL)

    def result(self) -> dict[str, int] | None:
        """Return how much it computed; None when it was killed before it was through."""
        self._process.join()
        assert self._process.exitcode in (0, -signal.SIGKILL)
        return self._hear.recv() if self._process.exitcode == 0 else None


def extract_and_say(folder: Path, order: tuple[str, ...], say, environment) -> None:
    os.setsid()
    os.environ.update(environment)
    submit = TorchModel.submit

    def counting(self: TorchModel, pictures):
        with (folder / "pictures").open("ab") as file:
            file.write(b"." * len(pictures))
        return submit(self, pictures)

    TorchModel.submit = counting
    say.send(extract_all(folder, *order).n_computed)


def n_pictures(folder: Path) -> int:
    return (folder / "pictures").stat().st_size if (folder / "pictures").exists() else 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def undisturbed(folder) -> tuple[float, int]:
    """Seconds, and pictures through the encoder, of a run to ``undisturbed`` that got through."""
    Run(folder, "first", "cache-first").result()  # the server's imports are not counted
    began_s, n_before = time.monotonic(), n_pictures(folder)
    assert Run(folder, "undisturbed", "cache").result()
    return min(time.monotonic() - began_s, 20), n_pictures(folder) - n_before


def damage_in(cache: Path) -> list[str]:
    return [what for _, what in verify_cache(cache) if what]


@pytest.mark.timeout(300 + 60 * N_KILLS)
def test_kills_at_random_moments_lose_at_most_the_batch_in_flight(folder, undisturbed):
    duration_s, n_needed = undisturbed
    moments = random.Random(0)
    n_kills, n_rounds = 0, 0
    while n_kills < N_KILLS:  # a round ends with a run that got through
        n_rounds += 1
        out, cache = f"out{n_rounds}", f"cache{n_rounds}"
        n_before, n_kills_before, ended = n_pictures(folder), n_kills, None
        while ended is None:
            run = Run(folder, out, cache)
            if n_kills < N_KILLS:
                time.sleep(moments.uniform(0, duration_s))
                run.kill()
            ended = run.result()
            n_kills += ended is None
        assert bytes_of(folder / out) == bytes_of(folder / "undisturbed")
        # A kill costs the batch in flight, and what its clips had in the batch before.
        n_lost = (n_kills - n_kills_before) * (BATCH + MAX_FRAMES)
        assert n_pictures(folder) - n_before <= n_needed + n_lost
        assert sorted(path.name for path in (folder / out).iterdir()) == OUTPUTS  # nothing hidden
        assert damage_in(folder / cache) == []


def test_a_disk_that_fills_up_keeps_what_was_written(folder, undisturbed, monkeypatch):
    write, free_bytes = Path.write_bytes, 30_000

    def write_while_there_is_room(path: Path, content: bytes) -> None:
        nonlocal free_bytes
        free_bytes -= write(path, content[:free_bytes])
        if not free_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", write_while_there_is_room)
        with pytest.raises(OSError, match=r"cannot be used.*make room"):
            extract_all(folder, "full", "small")
    assert not (folder / "full").exists()
    assert damage_in(folder / "small") == []
    kept = {path: path.read_bytes() for path in folder.glob("small/**/*.safetensors")}
    assert kept
    assert list(folder.glob("small/**/*.part")) == []
    report = extract_all(folder, "full", "small")
    assert sum(report.n_computed.values()) == 2 * N_CLIPS - len(kept)
    assert all(path.read_bytes() == content for path, content in kept.items())
    assert bytes_of(folder / "full") == bytes_of(folder / "undisturbed")


def test_two_runs_at_once_share_one_cache_whose_damage_is_computed_again(folder):
    other = Run(folder, "one", "common")
    extract_all(folder, "two", "common")
    assert other.result()
    assert bytes_of(folder / "one") == bytes_of(folder / "two")
    assert damage_in(folder / "common") == []
    for each in (folder / "common").iterdir():
        for path in sorted(each.rglob("*.safetensors"))[:3]:
            content = bytearray(path.read_bytes())
            middle = len(content) // 2
            content[middle : middle + 20] = bytes(20)
            path.write_bytes(content)
    with pytest.warns(UserWarning, match=r"embedding cache: .*computed again"):
        report = extract_all(folder, "three", "common")
    assert report.n_computed == {"frames": 3, "sound": 3}
    assert bytes_of(folder / "three") == bytes_of(folder / "one")
