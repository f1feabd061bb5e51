"""What tests of several packages share: small media files and a tiny CLIP, made on the spot."""

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

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

SLOWEST = ["test_stages.py", "test_guides.py", "test_faults.py", "test_extract.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that nobody waits for one of them at the end."""
    items.sort(key=lambda item: [*SLOWEST, item.path.name].index(item.path.name))


def grey_levels(n_frames: int) -> list[int]:
    """A brightness for each frame, far enough apart to survive encoding."""
    return [20 + (index * 200) // max(n_frames - 1, 1) for index in range(n_frames)]


class Stream(NamedTuple):
    """A stream of a media file that `write_media` writes.

    `rate` is of frames, or of samples, `said` are attributes of the stream. `stamp` makes, of the
    coded packets, those that are written.
    """

    codec: str
    rate: float | Fraction
    frames: Iterable[Any]
    said: Mapping[str, Any] = {}
    stamp: Callable[[list[av.Packet]], Iterable[av.Packet]] | None = None


def write_media(path: Path, *streams: Stream, **options: str) -> Path:
    """Write streams of frames into a file; options are the container's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(path, "w", options=options) as container:
        opened = [container.add_stream(each.codec, rate=each.rate) for each in streams]
        for stream, each in zip(opened, streams, strict=True):
            for name, value in each.said.items():
                if name.startswith("set_"):
                    getattr(stream, name)(value)
                elif name == "codec_time_base":
                    stream.codec_context.time_base = value
                else:
                    setattr(stream, name, value)
        for stream, each in zip(opened, streams, strict=True):
            packets = (packet for frame in [*each.frames, None] for packet in stream.encode(frame))
            for packet in each.stamp(list(packets)) if each.stamp else packets:
                packet.stream = stream
                container.mux(packet)
    return path


def video(
    pictures: Iterable[NDArray[np.uint8]],
    codec: str = "libx264",
    rate_hz: float | Fraction = 10,
    pixels: str = "yuv420p",
    **said: Any,
) -> Stream:
    """Return a stream of pictures of shape (height, width, 3), in RGB."""
    pictures = list(pictures)
    height, width = pictures[0].shape[:2]
    frames = (av.VideoFrame.from_ndarray(each, format="rgb24") for each in pictures)
    said = {"width": width, "height": height, "pix_fmt": pixels} | said
    return Stream(codec, rate_hz, frames, said)


def audio(
    channels: NDArray[np.float32],
    codec: str = "aac",
    rate_hz: int = 16000,
    *,
    layout: str = "mono",
    start_s: float = 0.0,
    stamp: Callable[[list[av.Packet]], Iterable[av.Packet]] | None = None,
    **said: Any,
) -> Stream:
    """Return a stream of sound of shape (n_channels, n_samples)."""
    wanted = av.Codec(codec, "w").audio_formats[0].name
    resampler = av.AudioResampler(format=wanted, layout=layout, rate=rate_hz)
    frames = []
    for start in range(0, channels.shape[1], 4096):
        part = channels[:, start : start + 4096].T.reshape(1, -1).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(part, format="flt", layout=layout)
        frame.sample_rate, frame.time_base = rate_hz, Fraction(1, rate_hz)
        frame.pts = start + round(start_s * rate_hz)
        frames += resampler.resample(frame)
    return Stream(codec, rate_hz, frames, {"layout": layout} | said, stamp)


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
    greys = [level] * n_frames if level is not None else grey_levels(n_frames)
    pictures = (np.full((size[1], size[0], 3), grey, np.uint8) for grey in greys)
    streams = [video(pictures, rate_hz=frame_rate_hz)] if n_frames else []
    streams += [audio(tone(sound_s)[None])] if sound_s else []
    return write_media(path, *streams)


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
