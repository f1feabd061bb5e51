import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
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

for k in itertools.count():
    with replacing_file(Path(sys.argv[1], "file")) as beside:
        beside.write_text(str(k % 10) * 10_000)
    with replacing_folder(Path(sys.argv[1], "folder")) as beside:
        for name in "abc":
            (beside / name).write_text(str(k % 10) * 10_000)
    if k == 0:
        print("ready", flush=True)
"""


@pytest.fixture(params=[replacing_file, replacing_folder], ids=["file", "folder"])
def replacing(request):
    return request.param


def write(place: Path, replacing, text: str, then: Callable[[], None] = lambda: None) -> None:
    """Replace a file, or a folder with one file in it."""
    with replacing(place) as beside:
        assert beside.is_dir() or beside.suffix == place.suffix or not place.suffix
        (beside / "x" if beside.is_dir() else beside).write_text(text)
        then()


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


@pytest.mark.parametrize("name", ["x.csv", "a" * 251 + ".csv", "é 😀" * 36, "-x"])
def test_an_error_leaves_the_old_one_and_nothing_else(tmp_path, replacing, name, monkeypatch):
    place = tmp_path / "below" / name
    replace = Path.replace

    def fail(path: Path | None = None, target: Path | None = None) -> Path:
        if path is None or path.name.startswith(".part"):
            raise OSError(5, "Input/output error")
        return replace(path, target)

    for left, text in ([], "old"), ([place], "new"):
        with pytest.raises(OSError, match="Input/output error"):
            write(place, replacing, "half", fail)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", fail)
            with pytest.raises(OSError, match="Input/output error"):
                write(place, replacing, "half")
        assert list(place.parent.iterdir()) == left
        assert not left or read(place) == "old"
        write(place, replacing, text)
        assert read(place) == text
    assert list(place.parent.iterdir()) == [place]


def test_two_who_replace_the_same_take_turns(tmp_path, replacing):
    events, begun, both = [], threading.Event(), threading.Event()

    def work(name: str) -> None:
        def wait() -> None:
            events.append(f"{name} is in")
            begun.set()
            assert both.wait(30)
            events.append(f"{name} goes out")

        write(tmp_path / "x", replacing, name, wait)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(work, "a")
        assert begun.wait(30)
        second = pool.submit(work, "b")
        time.sleep(0.2)  # until the second one waits, or is in the first one's way
        both.set()
        first.result()
        second.result()
    assert events == ["a is in", "a goes out", "b is in", "b goes out"]
    assert read(tmp_path / "x") == "b"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_kills_at_random_moments_leave_whole_ones(tmp_path, request):
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
        # A folder that was moved away is put back all the same.
        for name, replacing in {"file": replacing_file, "folder": replacing_folder}.items():
            with pytest.raises(KeyboardInterrupt), replacing(tmp_path / name):
                raise KeyboardInterrupt
        assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
        texts = [path.read_text() for path in (tmp_path / "folder").iterdir()]
        assert len(texts) == 3
        assert len(set(texts)) == 1
        for text in (texts[0], (tmp_path / "file").read_text()):
            assert (len(text), len(set(text))) == (10_000, 1)


def test_a_folder_that_a_killed_run_moved_away_comes_back(tmp_path):
    write(tmp_path / "x", replacing_folder, "old")
    (tmp_path / "x").rename(tmp_path / ".old.x")
    with replacing_folder(tmp_path / "x"):
        assert read(tmp_path / "x") == "old"


def test_a_linked_folder_is_replaced_where_it_lies(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    for text in ("one", "two"):
        write(tmp_path / "link", replacing_folder, text)
        assert read(tmp_path / "disk") == text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "link"]
