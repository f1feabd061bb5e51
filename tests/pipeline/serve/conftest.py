"""A service over the bundle of the small run, and what it leaves on the disk."""

import io
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from PIL import Image
from starlette.testclient import TestClient

from pipeline.serve.app import Limits, create_app
from tests.media import write_clip

LIMITS = Limits(upload_bytes=3_000_000, duration_s=5, waiting=2, receive_s=60, answer_s=300)


def left(folder: Path) -> list[Path]:
    """Files, and folders of uploads, that are there."""
    return [path for root in folder.iterdir() for path in root.rglob("*")]


@pytest.fixture(scope="session")
def _watched(tmp_path_factory):
    """Where a service may leave something: temporary files, and its working folder."""
    folder = tmp_path_factory.mktemp("temporary").resolve()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        yield folder
        assert list(folder.iterdir()) == []


@pytest.fixture
def disk(_watched, monkeypatch):
    """That folder; after every test nothing is there any more."""
    working = _watched / "working"
    working.mkdir()
    monkeypatch.chdir(working)
    monkeypatch.delenv("ERI_CACHE", raising=False)  # what is embedded would go into this folder
    yield _watched
    until(lambda: left(_watched) == [])
    working.rmdir()


@pytest.fixture(scope="session")
def clip(tmp_path_factory) -> bytes:
    """Four seconds with picture and sound."""
    folder = tmp_path_factory.mktemp("clip")
    path = write_clip(folder / "c.mp4", n_frames=40, size=(32, 32), sound_s=4)
    return path.read_bytes()


@pytest.fixture(scope="session")
def picture() -> bytes:
    """A picture: where any clip will do, it is the quickest."""
    Image.new("RGB", (32, 32), (200, 10, 10)).save(file := io.BytesIO(), "PNG")
    return file.getvalue()


@pytest.fixture(scope="session")
def _client(predictor, _watched):
    with TestClient(create_app(predictor, LIMITS), base_url="http://localhost") as client:
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


def n_uploads(get) -> int:
    """Ask a service how many uploads it has; `get` fetches a path."""
    return get("/health").json()["n_uploads"]


def until(true, limit_s: float = 120) -> None:
    """Wait for something to come true."""
    began_s = time.monotonic()
    while not true():
        assert time.monotonic() - began_s < limit_s, "it did not come true"
        time.sleep(0.02)


def form(filename: bytes, content: bytes, field: bytes = b"file") -> dict:
    """Write a form by hand, for names that no library would let through."""
    head = b'Content-Disposition: form-data; name="' + field + b'"; filename="' + filename + b'"'
    body = b"--XX\r\n" + head + b"\r\n\r\n" + content + b"\r\n--XX--\r\n"
    return {"content": body, "headers": {"Content-Type": "multipart/form-data; boundary=XX"}}
