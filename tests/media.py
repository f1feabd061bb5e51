"""Small media files, written on the spot. Workers import it: nothing heavy here."""

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray


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
    growing = 20 + np.arange(n_frames) * 200 // max(n_frames - 1, 1)
    greys = growing if level is None else [level] * n_frames
    pictures = (np.full((size[1], size[0], 3), grey, np.uint8) for grey in greys)
    streams = [video(pictures, rate_hz=frame_rate_hz)] if n_frames else []
    streams += [audio(tone(sound_s)[None])] if sound_s else []
    return write_media(path, *streams)


def tone(duration_s: float, sample_rate_hz: int = 16000) -> NDArray[np.float32]:
    time_s = np.arange(round(duration_s * sample_rate_hz)) / sample_rate_hz
    return (0.3 * np.sin(2 * np.pi * 440 * time_s)).astype(np.float32)
