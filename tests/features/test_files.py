import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from features.files import file_sha256, replacing_file, replacing_folder

N_KILLS = int(os.environ.get("ERI_TEST_KILLS", "3"))

# Replaces a file and a folder, again and again, until it is killed.
SCRIPT = """
import itertools, sys
from pathlib import Path
from features.files import replacing_file, replacing_folder

print("ready", flush=True)
for k in itertools.count():
    with replacing_file(Path(sys.argv[1], "file")) as beside:
        beside.write_text(str(k % 10) * 10_000)
    with replacing_folder(Path(sys.argv[1], "folder")) as beside:
        for name in "abc":
            (beside / name).write_text(str(k % 10) * 10_000)
"""


def write(place: Path, is_folder: bool, text: str) -> None:
    """Replace a file, or a folder with one file in it."""
    with (replacing_folder if is_folder else replacing_file)(place) as beside:
        (beside / "x" if is_folder else beside).write_text(text)


def read(place: Path) -> str:
    return (place / "x" if place.is_dir() else place).read_text()


def test_a_digest_is_of_the_bytes_as_they_are_now(tmp_path, monkeypatch):
    path = tmp_path / "file"
    for content in (b"one", b"two", b"three"):
        path.write_bytes(content)
        assert file_sha256(path) == hashlib.sha256(content).hexdigest()
    os.utime(path, (0, 0))
    old = file_sha256(path)
    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "file_digest", None)
        assert file_sha256(path) == old  # an old file is not read twice
    path.write_bytes(b"THREE")
    assert file_sha256(path) == hashlib.sha256(b"THREE").hexdigest() != old


@pytest.mark.parametrize("is_folder", [False, True])
@pytest.mark.parametrize("name", ["x.csv", "a" * 251 + ".csv", "é 😀" * 36, "-x"])
def test_an_error_leaves_the_old_one_and_nothing_else(tmp_path, is_folder, name, monkeypatch):
    place = tmp_path / "below" / name

    def fail_half_way() -> None:
        with (replacing_folder if is_folder else replacing_file)(place) as beside:
            assert not place.suffix or beside.suffix == place.suffix
            (beside / "x" if is_folder else beside).write_text("half")
            raise ValueError("half way")

    replace = Path.replace

    def fail(path: Path, target: Path) -> Path:
        if path.name.startswith(".part"):
            raise OSError(5, "Input/output error")
        return replace(path, target)

    with pytest.raises(ValueError, match="half way"):
        fail_half_way()
    assert list(place.parent.iterdir()) == []
    write(place, is_folder, "old")
    with pytest.raises(ValueError, match="half way"):
        fail_half_way()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail)
        with pytest.raises(OSError, match="Input/output error"):
            write(place, is_folder, "new")
    assert read(place) == "old"
    write(place, is_folder, "new")
    assert read(place) == "new"
    assert list(place.parent.iterdir()) == [place]


@pytest.mark.parametrize("is_folder", [False, True])
def test_two_who_replace_the_same_take_turns(tmp_path, is_folder):
    events, begun, both = [], threading.Event(), threading.Event()

    def work(name: str) -> None:
        with (replacing_folder if is_folder else replacing_file)(tmp_path / "x") as beside:
            events.append(f"{name} begins")
            begun.set()
            assert both.wait(30)
            (beside / "x" if is_folder else beside).write_text(name)
            events.append(f"{name} ends")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(work, "a")
        assert begun.wait(30)
        second = pool.submit(work, "b")
        time.sleep(0.2)  # until the second one waits, or is in the first one's way
        both.set()
        first.result()
        second.result()
    assert events == ["a begins", "a ends", "b begins", "b ends"]
    assert read(tmp_path / "x") == "b"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_kills_at_random_moments_leave_whole_ones(tmp_path, request):
    write(tmp_path / "file", False, "-" * 10_000)
    with replacing_folder(tmp_path / "folder") as beside:
        for name in "abc":
            (beside / name).write_text("-" * 10_000)
    moments = random.Random(0)
    for _ in range(N_KILLS):
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(tmp_path)],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(request.config.rootpath)},
        )
        with process:
            process.stdout.readline()
            time.sleep(moments.uniform(0.0, 0.05))
            process.send_signal(signal.SIGKILL)
        with pytest.raises(KeyboardInterrupt), replacing_folder(tmp_path / "folder"):
            raise KeyboardInterrupt  # a folder that was moved away is put back all the same
        with pytest.raises(KeyboardInterrupt), replacing_file(tmp_path / "file"):
            raise KeyboardInterrupt
        assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
        (content,) = {path.read_text() for path in (tmp_path / "folder").iterdir()}
        assert len(list((tmp_path / "folder").iterdir())) == 3
        for text in (content, (tmp_path / "file").read_text()):
            assert len(text) == 10_000
            assert len(set(text)) == 1


def test_a_folder_that_a_killed_run_moved_away_comes_back(tmp_path):
    write(tmp_path / "x", True, "old")
    (tmp_path / "x").rename(tmp_path / ".old.x")
    with replacing_folder(tmp_path / "x"):
        assert read(tmp_path / "x") == "old"
