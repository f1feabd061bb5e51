"""Whole files, odd but sound, and headers that claim what is not there."""

import io
import itertools
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from features.media.frames import read_frames
from features.media.sound import read_track
from tests.media import audio, tone, video, write_media

GRID_HZ = 5
"""`Film.n_pictures` counts frames at this rate."""

QUARTERS = np.zeros((32, 48, 3), np.uint8)
QUARTERS[:16, :24], QUARTERS[:16, 24:] = (250, 0, 0), (0, 250, 0)
QUARTERS[16:, :24], QUARTERS[16:, 24:] = (0, 0, 250), (250, 250, 250)
"""A picture that looks different each way it is turned."""


@dataclass(frozen=True)
class Film:
    """What `write_film` writes: frames at `times_s`, none without; sound, none where it is 0 s.

    `rotation` is a flag, in degrees; `options` are the container's.
    """

    times_s: tuple[float, ...] = tuple(k / 10 for k in range(20))
    codec: str = "libx264"
    pixels: str = "yuv420p"
    size: tuple[int, int] = (64, 48)
    rotation: int = 0
    sound_s: float = 2.0
    sound_starts_s: float = 0.0
    sound_codec: str = "aac"
    layout: str = "mono"
    rate_hz: int = 16000
    options: Mapping[str, str] = field(default_factory=dict)

    def n_pictures(self) -> int:
        """Count the frames on screen at the points of the grid."""
        times_s = np.array(self.times_s) - self.times_s[0]
        points_s = np.arange(0, times_s[-1] + 1e-6, 1 / GRID_HZ)
        return len(set(np.searchsorted(times_s, points_s + 1e-6, side="right")))


def write_film(path: Path, film: Film) -> Path:
    """Write a file with noise in its pictures and a tone in its sound."""
    streams = []
    if film.times_s:
        rng = np.random.default_rng(0)
        noise = [rng.integers(0, 255, (*film.size[::-1], 3), dtype=np.uint8) for _ in film.times_s]
        said: dict[str, object] = {"codec_time_base": Fraction(1, _TICKS)}
        if film.codec == "libx265":
            said["options"] = {"x265-params": "log-level=none"}
        if film.rotation:
            said["set_display_rotation"] = film.rotation
        pictures = video(noise, film.codec, pixels=film.pixels, **said)
        frames = list(pictures.frames)
        for frame, time_s in zip(frames, film.times_s, strict=True):
            frame.pts, frame.time_base = round(time_s * _TICKS), Fraction(1, _TICKS)
        streams.append(pictures._replace(frames=frames))
    if film.sound_s:
        n_channels = av.AudioLayout(film.layout).nb_channels
        channels = np.tile(tone(film.sound_s, film.rate_hz), (n_channels, 1))
        form = {"layout": film.layout, "start_s": film.sound_starts_s}
        streams.append(audio(channels, film.sound_codec, film.rate_hz, **form))
    # Without the flag some formats draw random names.
    return write_media(path, *streams, **{"fflags": "+bitexact", **film.options})


def write_sound(
    path: Path,
    channels: NDArray[np.float32],
    rate_hz: int = 16000,
    *,
    codec: str = "pcm_f32le",
    layout: str = "mono",
    starts_s: Sequence[float] = (0,),
) -> Path:
    """Write channels of sound, shape (n_channels, n_samples), once from each of these times on."""

    def stamp(packets: list[av.Packet]) -> Iterator[av.Packet]:
        for start_s, packet in itertools.product(starts_s, packets):
            moved = av.Packet(bytes(packet))
            moved.time_base, moved.duration = packet.time_base, packet.duration
            moved.pts = moved.dts = (packet.pts or 0) + round(start_s / packet.time_base)
            yield moved

    return write_media(path, audio(channels, codec, rate_hz, layout=layout, stamp=stamp))


def read_sound(path: Path, rate_hz: int, **options: float) -> NDArray[np.float32]:
    """Read sound on the clock of the clip: sample k is heard at ``k / rate_hz``."""
    track = read_track(path, rate_hz, **options)
    return np.pad(track.samples, (round(track.start_s * rate_hz), 0))


_TICKS = 100  # per second: GIF knows no finer ones
_UNEVEN_S = (0, 0.1, 0.15, 0.7, 0.71, 1.5, 1.6, 2, 2.9, 3)
_SILENT = Film(sound_s=0)
_VOICE = Film(times_s=())

FILMS = {
    "whole.mp4": Film(),
    "index_first.mp4": Film(options={"movflags": "faststart"}),
    "fragments.mp4": Film(options={"movflags": "frag_keyframe+empty_moov"}),
    "mpeg4.avi": Film(codec="mpeg4", sound_codec="libmp3lame"),
    "vp8.webm": Film(codec="libvpx", sound_codec="libopus"),
    "hevc.mkv": Film(codec="libx265", sound_codec="flac"),
    "animated.gif": replace(_SILENT, codec="gif", pixels="rgb8"),
    "turned_90.mp4": Film(rotation=90),
    "turned_180.mp4": Film(rotation=180),
    "turned_270.mkv": Film(rotation=-90),
    "variable_rate.mp4": Film(times_s=_UNEVEN_S),
    "variable_rate.webm": Film(times_s=_UNEVEN_S, codec="libvpx", sound_codec="libopus"),
    "late_start.mp4": Film(times_s=tuple(3 + k / 10 for k in range(20))),
    "slow.mp4": Film(times_s=(0, 5, 60, 61)),
    "one_frame.mp4": Film(times_s=(0,)),
    "two_pixels.mp4": Film(size=(2, 2)),
    "high.mp4": Film(size=(16, 2000)),
    "wide.mp4": Film(size=(4000, 16)),
    "no_sound.mp4": _SILENT,
    "stereo.mp4": Film(layout="stereo", rate_hz=44100),
    "voice.m4a": _VOICE,
    "voice.mp3": replace(_VOICE, sound_codec="libmp3lame"),
    "studio.wav": replace(_VOICE, sound_codec="pcm_s24le", rate_hz=192_000),
}


def headers_that_lie() -> dict[str, bytes]:
    """Return files that claim sizes and rates that they do not have."""
    silence = np.zeros(16000, np.int16)
    return {
        "huge.png": png(60_000, 60_000, zlib.compress(bytes(1000))),
        "thin.png": png(1, 1_000_000, zlib.compress(bytes(2_000_000))),
        "huge.gif": _with_size("GIF", 6, "<HH", 65_535),
        "large.gif": _with_size("GIF", 6, "<HH", 12_000),
        "huge.bmp": _with_size("BMP", 18, "<II", 2**31 - 1),
        "large.bmp": _with_size("BMP", 18, "<II", 20_000),
        "faster.wav": wav(silence, 4_000_000_000),
        "no_channel.wav": wav(silence, 16000, n_channels=0),
        "many_channels.wav": wav(silence, 16000, n_channels=65_535),
    }


def png(width: int, height: int, data: bytes) -> bytes:
    """Return a grey PNG file with this header and these data."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n"
    for kind, chunk in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b"")):
        check = zlib.crc32(kind + chunk)
        content += struct.pack(">I", len(chunk)) + kind + chunk + struct.pack(">I", check)
    return content


def wav(samples: NDArray[np.int16], rate_hz: int, n_channels: int = 1) -> bytes:
    """Return a WAV file of 16 bits; the header is not checked."""
    frame_bytes = 2 * n_channels
    rates = rate_hz, frame_bytes * rate_hz % 2**32, frame_bytes % 2**16
    layout = struct.pack("<IHHIIHH", 16, 1, n_channels, *rates, 16)
    data = samples.tobytes()
    sizes = (struct.pack("<I", n_bytes) for n_bytes in (36 + len(data), len(data)))
    return b"RIFF%sWAVEfmt %sdata%s%s" % (next(sizes), layout, next(sizes), data)


def _with_size(kind: str, offset: int, pattern: str, side: int) -> bytes:
    content = bytearray(as_bytes(Image.new("P", (64, 48)), kind))
    struct.pack_into(pattern, content, offset, side, side)
    return bytes(content)


def as_bytes(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def first_picture(path: Path) -> NDArray[np.int_]:
    """Return the first picture that is read of a file."""
    return np.asarray(next(iter(read_frames(path, 3))).image).astype(int)
