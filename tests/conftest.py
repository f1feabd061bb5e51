"""What tests of several packages share: small media files and a tiny CLIP, made on the spot."""

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import open_clip
import pytest
from hypothesis import settings
from numpy.typing import NDArray

# Deadlines per example would fail on a machine that is busy for a moment.
settings.register_profile("eri", deadline=None)
settings.load_profile("eri")

MakeClip = Callable[..., Path]

TINY_CLIP = "eri-tiny"


def grey_levels(n_frames: int) -> list[int]:
    """A brightness for each frame, far enough apart to survive encoding."""
    return [20 + (index * 200) // max(n_frames - 1, 1) for index in range(n_frames)]


def write_clip(
    path: Path,
    *,
    n_frames: int = 10,
    frame_rate_hz: int = 10,
    size: tuple[int, int] = (64, 48),
    sound_s: float = 1.0,
    level: int | None = None,
) -> Path:
    """Write a clip whose frames grow brighter, with a 440 Hz tone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(path, "w") as container:
        video = audio = None
        if n_frames:
            video = container.add_stream("libx264", rate=frame_rate_hz)
            video.width, video.height = size
            video.pix_fmt = "yuv420p"
        if sound_s:
            audio = container.add_stream("aac", rate=16000)
            audio.layout = "mono"
        if video is not None:
            for grey in grey_levels(n_frames):
                value = grey if level is None else level
                picture = np.full((size[1], size[0], 3), value, np.uint8)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        if audio is not None:
            sound = av.AudioFrame.from_ndarray(tone(sound_s)[None], format="fltp", layout="mono")
            sound.sample_rate = 16000
            container.mux(audio.encode(sound))
            container.mux(audio.encode(None))
    return path


@pytest.fixture
def shared(request) -> Path:
    """The folder of real clips and ratings beside the checkout; without it, the test skips."""
    folder: Path = request.config.rootpath.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the folder ../shared, with real data, is not beside the checkout")
    return folder


@pytest.fixture
def make_clip(tmp_path: Path) -> MakeClip:
    """Write clips, as `write_clip` does, into the test's folder."""

    def make(name: str = "clip.mp4", **options: Any) -> Path:
        return write_clip(tmp_path / name, **options)

    return make


def tone(duration_s: float, sample_rate_hz: int = 16000) -> NDArray[np.float32]:
    time_s = np.arange(round(duration_s * sample_rate_hz)) / sample_rate_hz
    return (0.3 * np.sin(2 * np.pi * 440 * time_s)).astype(np.float32)


@pytest.fixture(autouse=True)
def no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Output is that of a pipe, whatever the caller's terminal, or CI, asks for."""
    for name in ("COLUMNS", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Register a CLIP of a few thousand parameters with open_clip, and return its name."""
    config = {
        "embed_dim": 8,
        "vision_cfg": {
            "image_size": 32,
            "layers": 1,
            "width": 16,
            "head_width": 8,
            "patch_size": 16,
        },
        "text_cfg": {
            "context_length": 8,
            "vocab_size": 64,
            "width": 16,
            "heads": 2,
            "layers": 1,
        },
    }
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
