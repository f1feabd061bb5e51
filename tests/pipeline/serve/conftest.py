"""A service over the bundle of the small run, and a watch over what it touches on the disk."""

import os
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from starlette.testclient import TestClient

from pipeline.serve.app import Limits, create_app
from tests.media import write_clip

LIMITS = Limits(upload_bytes=3_000_000, duration_s=5, waiting=2, receive_s=60, answer_s=300)


class Disk:
    """Files that a service in this process makes, changes or removes; a hook of Python's tells.

    A service runs in threads of its own; what the tests do in theirs does not count, nor what
    threads of other tests did before.
    """

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.outside: list[str] = []

    def hear(self, event: str, arguments: tuple) -> None:
        if self.folder is None or threading.current_thread() is threading.main_thread():
            return
        changes = event in {"os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.chmod"}
        if event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            touched = arguments[:1]
        elif event in {"os.rename", "os.link", "os.symlink"}:
            touched = arguments[:2]
        else:  # what is named below an open folder is told when that is opened
            touched = arguments[:1] if changes and arguments[-1] in (-1, None) else ()
        for path in touched:
            if isinstance(path, str | bytes | os.PathLike):
                name = os.path.abspath(os.fsdecode(path))  # noqa: PTH100
                ours = Path(name).is_relative_to(self.folder)
                if not ours and name != os.devnull and "__pycache__" not in name:
                    self.outside.append(f"{event} {name}")

    def left(self) -> list[Path]:
        """Files, and folders of uploads, that are there."""
        assert self.folder is not None
        return [path for root in self.folder.iterdir() for path in root.rglob("*")]


@pytest.fixture(scope="session")
def _watched(tmp_path_factory):
    """The only place that a service may touch; nothing of it may stay there at the end."""
    disk = Disk()
    sys.addaudithook(disk.hear)  # hooks stay for good
    folder = tmp_path_factory.mktemp("temporary").resolve()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        disk.folder = folder
        yield disk
        assert list(folder.iterdir()) == []
        disk.folder = None


@pytest.fixture
def disk(_watched):
    """The watch; after every test no upload is there any more."""
    _watched.outside.clear()
    yield _watched
    until(lambda: _watched.left() == [])
    assert _watched.outside == []


@pytest.fixture(scope="session")
def clip(tmp_path_factory) -> bytes:
    """Four seconds with picture and sound."""
    folder = tmp_path_factory.mktemp("clip")
    path = write_clip(folder / "c.mp4", n_frames=40, size=(32, 32), sound_s=4)
    return path.read_bytes()


@pytest.fixture(scope="session")
def _client(predictor, _watched):
    _watched.outside.clear()
    with TestClient(create_app(predictor, LIMITS), base_url="http://localhost") as client:
        assert _watched.outside == []  # its first prediction, of nothing, included
        yield client


@pytest.fixture
def client(_client, disk):
    """Talks to the service without a network; it reports every error of the service."""
    return _client


@contextmanager
def listening(app):
    """Run a service on a free port; gives its address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started, 60)
        host, port = server.servers[0].sockets[0].getsockname()
        yield host, port
    finally:
        server.should_exit = True
        thread.join()


def until(true, limit_s: float = 120) -> None:
    """Wait for something to come true."""
    began_s = time.monotonic()
    while not true():
        assert time.monotonic() - began_s < limit_s, "it did not come true"
        time.sleep(0.02)


class Held:
    """A predictor that waits to be let go."""

    def __init__(self, predictor) -> None:
        self._predictor = predictor
        self.go, self.began = threading.Event(), threading.Event()
        self.n_begun = 0

    def __getattr__(self, name):
        return getattr(self._predictor, name)

    def embed(self, *arguments, **options):
        self.n_begun += 1
        self.began.set()
        assert self.go.wait(30)
        return self._predictor.embed(*arguments, **options)


def form(filename: bytes, content: bytes, field: bytes = b"file") -> dict:
    """Write a form by hand, for names that no library would let through."""
    head = b'Content-Disposition: form-data; name="' + field + b'"; filename="' + filename + b'"'
    body = b"--XX\r\n" + head + b"\r\n\r\n" + content + b"\r\n--XX--\r\n"
    return {"content": body, "headers": {"Content-Type": "multipart/form-data; boundary=XX"}}
