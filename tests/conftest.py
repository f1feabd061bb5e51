"""What tests of several packages share: small media files and a tiny CLIP, made on the spot."""

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import open_clip
import pytest
from hypothesis import settings

from tests.media import write_clip

# Deadlines per example would fail on a machine that is busy for a moment.
settings.register_profile("eri", deadline=None)
settings.load_profile("eri")

TINY_CLIP = "eri-tiny"

SLOWEST = ["test_stages.py", "test_guides.py", "test_faults.py", "test_extract.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that nobody waits for one of them at the end."""
    items.sort(key=lambda item: [*SLOWEST, item.path.name].index(item.path.name))


@pytest.fixture
def shared(request) -> Path:
    """The folder of real clips and ratings beside the checkout; without it, the test skips."""
    folder: Path = request.config.rootpath.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the folder ../shared, with real data, is not beside the checkout")
    return folder


@pytest.fixture
def make_clip(tmp_path: Path) -> Callable[..., Path]:
    """Write clips, as `write_clip` does, into the test's folder."""
    return lambda name="clip.mp4", **options: write_clip(tmp_path / name, **options)


@pytest.fixture(autouse=True)
def no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Output is that of a pipe, whatever the caller's terminal, or CI, asks for."""
    for name in ("COLUMNS", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Register a CLIP of a few thousand parameters with open_clip, and return its name."""
    vision = {"image_size": 32, "layers": 1, "width": 16, "head_width": 8, "patch_size": 16}
    text = {"context_length": 8, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1}
    config = {"embed_dim": 8, "vision_cfg": vision, "text_cfg": text}
    path = tmp_path_factory.mktemp("open_clip") / f"{TINY_CLIP}.json"
    path.write_text(json.dumps(config))
    open_clip.add_model_config(path)
    return TINY_CLIP


@pytest.fixture(scope="session")
def object_store() -> Iterator[str]:
    """The address of an S3-compatible server in this process."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(object_store: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new bucket, as ``s3://…``, with credentials where stores look for them."""
    import s3fs

    name = f"bucket-{uuid.uuid4().hex}"
    for key, value in {
        "AWS_ENDPOINT_URL": object_store,
        "AWS_ACCESS_KEY_ID": "tests",
        "AWS_SECRET_ACCESS_KEY": "tests",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(key, value)
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdir(name)
    return f"s3://{name}"
