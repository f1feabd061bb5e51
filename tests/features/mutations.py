"""Damaged and odd media files, made of whole ones; equal seeds give equal files.

`Mutation.pictures` and `Mutation.sound` say what must become of a file. Where bytes were changed
at random that is open, but it must be noted.
"""

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from features.media import MediaError, probe, read_frames, read_sound

GRID_HZ = 5
"""`Mutation.n_pictures` counts frames at this rate."""

Outcome = Literal["embedded", "failed", "either"]


@dataclass(frozen=True)
class Mutation:
    """One file, and what must become of it.

    Attributes
    ----------
    path : Path
        The file.
    kind : str
        What was done.
    pictures, sound : Outcome
        What must become of it with an encoder of that kind.
    n_pictures : int or None
        Frames on screen at the points of a grid of `GRID_HZ`; None when nobody can say.
    """

    path: Path
    kind: str
    pictures: Outcome = "either"
    sound: Outcome = "either"
    n_pictures: int | None = None


def mutate(
    source_clips: Sequence[Path], folder: Path, n: int, seed: int, *, silence_s: int = 60
) -> dict[str, Mutation]:
    """Write `n` files into `folder`.

    Whole variants and foreign files come first, then random damage to all clips and patched headers
    of the first in turn.

    Parameters
    ----------
    source_clips : sequence of Path
        The first one is an mp4 with video and sound.
    folder : Path
        Where the files go.
    n : int
        At least as many as there are fixed ones.
    seed : int
        Of the random damage.
    silence_s : int
        Length of the one long file.

    Returns
    -------
    dict of str to Mutation
        By clip id.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mutations = [*_whole(folder, silence_s), *_foreign(folder, source_clips[0])]
    if n < len(mutations):
        raise ValueError(f"{n} mutations: there are {len(mutations)} fixed ones, ask for more")
    mutations += damaged(source_clips, folder, n - len(mutations), seed)
    return {mutation.path.name: mutation for mutation in mutations}


def damaged(source_clips: Sequence[Path], folder: Path, n: int, seed: int) -> Iterator[Mutation]:
    """Write `n` files with random damage, and with patched headers of the first clip."""
    rng = random.Random(seed)
    patches = list(PATCHES)
    rng.shuffle(patches)
    contents = [path.read_bytes() for path in source_clips]
    kinds = [*_DAMAGE, "patched"]
    for k in range(n):
        kind = kinds[k % len(kinds)]
        if kind == "patched":
            which, name = 0, patches[k // len(kinds) % len(patches)]
            content = PATCHES[name].apply(contents[0])
        else:
            which, name = rng.randrange(len(contents)), kind
            content = _DAMAGE[kind](contents[which], rng.choice(contents), rng)
        path = folder / f"{name}_{k}{source_clips[which].suffix}"
        path.write_bytes(content)
        yield Mutation(path, kind)


def decode(path: Path) -> Iterator[dict[str, Any]]:
    """Read all of a file in a worker, and tell what came of it and what it took."""
    found: dict[str, Any] = {"errors": []}
    for work in (
        lambda: probe(path),
        lambda: found.update(n_pictures=sum(1 for _ in read_frames(path, GRID_HZ))),
        lambda: found.update(sound_s=len(read_sound(path, 16000)) / 16000),
    ):
        try:
            work()
        except MediaError as error:
            found["errors"].append((error.step, error.reason))
    yield found | {"peak_bytes": peak_memory_bytes()}


def peak_memory_bytes() -> int | None:
    """Highest memory of this process so far; None where the system does not tell.

    What `resource` says begins with the memory of the process that started this one.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) * 1024


# Random damage: from a clip's bytes, another's, and a random generator, to bytes.

_Damage = Callable[[bytes, bytes, random.Random], bytes]


def _truncate(content: bytes, _: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(1, len(content))]


def _flip(content: bytearray, start: int, end: int, n: int, rng: random.Random) -> bytes:
    for _ in range(n):
        content[rng.randrange(start, end)] ^= 1 << rng.randrange(8)
    return bytes(content)


def _flip_in_header(content: bytes, _: bytes, rng: random.Random) -> bytes:
    start, size = next((b.start, b.size) for b in mp4_boxes(content) if b.kind == "moov")
    return _flip(bytearray(content), start, start + size, rng.choice([1, 3, 10, 100]), rng)


def _flip_in_body(content: bytes, _: bytes, rng: random.Random) -> bytes:
    n = rng.choice([1, 10, 100, 1000, len(content) // 20])
    return _flip(bytearray(content), 0, len(content), n, rng)


def _overwrite(content: bytes, filling: bytes, rng: random.Random) -> bytes:
    length = min(rng.choice([1, 100, 10_000, len(content) // 2]), len(filling))
    start = rng.randrange(len(content))
    return content[:start] + filling[:length] + content[start + length :]


def _zero(content: bytes, _: bytes, rng: random.Random) -> bytes:
    return _overwrite(content, bytes(len(content)), rng)


def _splice(content: bytes, other: bytes, rng: random.Random) -> bytes:
    return _overwrite(content, other[rng.randrange(len(other)) :], rng)


def _graft(content: bytes, other: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))] + other[rng.randrange(len(other)) :]


def _drop(content: bytes, _: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content))
    return content[:start] + content[start + rng.choice([1, 100, 10_000]) :]


def _append(content: bytes, other: bytes, rng: random.Random) -> bytes:
    return content + rng.choice([rng.randbytes(5000), other])


_DAMAGE: dict[str, _Damage] = {
    "truncated": _truncate,
    "flipped_header": _flip_in_header,
    "flipped_body": _flip_in_body,
    "zeroed": _zero,
    "spliced": _splice,
    "grafted": _graft,
    "dropped": _drop,
    "appended": _append,
}


# Patched headers: one number in one box of an mp4 that ffmpeg wrote (version 0 boxes).


@dataclass(frozen=True)
class Box:
    """A box of an mp4: its four letters, and where its content lies in the file."""

    kind: str
    start: int
    size: int


@dataclass(frozen=True)
class Patch:
    """Numbers to write into the first box of a kind within the track of a kind.

    Attributes
    ----------
    track : {"vide", "soun"}
        Which track.
    box : str
        Which box of it.
    offset : int
        Where in the box's content.
    values : tuple of int
        Big-endian 32 bits each.
    """

    track: str
    box: str
    offset: int
    values: tuple[int, ...]

    def apply(self, content: bytes) -> bytes:
        """Return the file with the numbers written."""
        box = self._box(content)
        start = box.start + self.offset
        data = struct.pack(f">{len(self.values)}I", *self.values)
        if self.offset + len(data) > box.size:
            raise ValueError(f"{self} does not fit into {box}")
        return content[:start] + data + content[start + len(data) :]

    def _box(self, content: bytes) -> Box:
        track = ""
        found = {}
        for box in mp4_boxes(content):
            if box.kind == "trak":
                found = {}
                track = ""
            elif box.kind == "hdlr" and not track:
                track = content[box.start + 8 : box.start + 12].decode("latin1")
            found.setdefault(box.kind, box)
            if track == self.track and self.box in found:
                return found[self.box]
        raise ValueError(f"there is no place for {self}")


_HUGE = (50_000_000, 2**31 - 1, 2**32 - 1)
_NUMBERS = (0, 1, *_HUGE)
_FIELDS: dict[str, tuple[str, tuple[str, ...], int, Sequence[tuple[int, ...]]]] = {
    "track_size": ("tkhd", ("vide",), 76, [(n, n) for n in _NUMBERS]),
    "matrix": ("tkhd", ("vide",), 40, [(0,) * 9, (2**31 - 1,) * 9]),
    "time_scale": ("mdhd", ("vide", "soun"), 12, [(n,) for n in _NUMBERS]),
    "media_duration": ("mdhd", ("vide", "soun"), 16, [(n,) for n in _NUMBERS]),
    "time_count": ("stts", ("vide", "soun"), 4, [(n,) for n in _NUMBERS]),
    "time_run": ("stts", ("vide", "soun"), 8, [(n,) for n in _NUMBERS]),
    "time_delta": ("stts", ("vide", "soun"), 12, [(n,) for n in _NUMBERS]),
    "sample_count": ("stsz", ("vide", "soun"), 8, [(n,) for n in _NUMBERS]),
    "sample_size": ("stsz", ("vide", "soun"), 4, [(1, n) for n in (88_000_000, 2**32 - 1)]),
    "chunk_run": ("stsc", ("vide", "soun"), 12, [(n,) for n in _NUMBERS]),
    "chunk_count": ("stco", ("vide", "soun"), 4, [(n,) for n in _NUMBERS]),
    "chunk_offset": ("stco", ("vide", "soun"), 8, [(n,) for n in _NUMBERS]),
    "picture_size": ("stsd", ("vide",), 40, [(n << 16 | n,) for n in (0, 1, 16384, 65535)]),
    "picture_codec": ("stsd", ("vide", "soun"), 12, [(0x7A7A7A7A,)]),
    "channels": ("stsd", ("soun",), 32, [(n << 16 | 16,) for n in (0, 64, 65535)]),
    "sound_rate": ("stsd", ("soun",), 40, [(n,) for n in _NUMBERS]),
    "edit": ("elst", ("vide", "soun"), 8, [(2**31 - 1, 2**31 - 1), (0, 0), (1, 2**32 - 1)]),
}

PATCHES = {
    f"{name}_{track}_{values[-1]}": Patch(track, box, offset, values)
    for name, (box, tracks, offset, choices) in _FIELDS.items()
    for track in tracks
    for values in choices
}


def mp4_boxes(content: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """Walk over the boxes of an mp4, outer ones before inner ones."""
    end = len(content) if end is None else end
    while start + 8 <= end:
        size, letters = struct.unpack_from(">I4s", content, start)
        header = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", content, start + 8)
            header = 16
        if size < header:
            return
        box = Box(letters.decode("latin1"), start + header, size - header)
        yield box
        if box.kind in {"moov", "trak", "mdia", "minf", "stbl", "edts"}:
            yield from mp4_boxes(content, box.start, min(box.start + box.size, end))
        start += size


# Whole files, odd but sound, and headers that claim what is not there.


@dataclass(frozen=True)
class Film:
    """What `write_film` writes.

    Attributes
    ----------
    times_s : tuple of float
        When the frames are shown; none: no video stream.
    codec, pixels : str
        Of the video.
    size : (int, int)
        Width and height.
    rotation : int
        In degrees, as a flag.
    sound_s : float
        Length of the sound; 0: no audio stream.
    sound_codec, layout : str
        Of the sound.
    rate_hz : int
        Of the sound.
    options : mapping of str to str
        Of the container.
    """

    times_s: tuple[float, ...] = tuple(k / 10 for k in range(20))
    codec: str = "libx264"
    pixels: str = "yuv420p"
    size: tuple[int, int] = (64, 48)
    rotation: int = 0
    sound_s: float = 2.0
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
    rng = np.random.default_rng(0)
    options = {"fflags": "+bitexact", **film.options}  # without it some formats draw random names
    with av.open(path, "w", options=options) as container:
        video = audio = None
        if film.times_s:
            video = container.add_stream(film.codec, rate=10)
            video.width, video.height = film.size
            video.pix_fmt = film.pixels
            video.codec_context.time_base = Fraction(1, _TICKS)
            video.options = {"x265-params": "log-level=none"} if film.codec == "libx265" else {}
            if film.rotation:
                video.set_display_rotation(film.rotation)
        if film.sound_s:
            audio = container.add_stream(film.sound_codec, rate=film.rate_hz)
            audio.layout = film.layout
        if video is not None:
            for time_s in film.times_s:
                noise = rng.integers(0, 255, (*film.size[::-1], 3), dtype=np.uint8)
                frame = av.VideoFrame.from_ndarray(noise, format="rgb24")
                frame.pts, frame.time_base = round(time_s * _TICKS), Fraction(1, _TICKS)
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        if audio is not None:
            for frame in _sound_frames(film):
                container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
    return path


_TICKS = 100  # per second: GIF knows no finer ones


def _sound_frames(film: Film) -> Iterator[av.AudioFrame]:
    time_s = np.arange(round(film.sound_s * film.rate_hz)) / film.rate_hz
    tone = 0.3 * np.sin(2 * np.pi * 440 * time_s) + 0.1 * np.sin(2 * np.pi * 180 * time_s)
    n_channels = av.AudioLayout(film.layout).nb_channels
    for start in range(0, len(tone), _SAMPLES):
        part = np.tile(tone[start : start + _SAMPLES].astype(np.float32), (n_channels, 1))
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=film.layout)
        frame.sample_rate = film.rate_hz
        frame.pts, frame.time_base = start, Fraction(1, film.rate_hz)
        yield frame


_SAMPLES = 4096

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
    "motion_jpeg.mov": Film(codec="mjpeg", pixels="yuvj420p", sound_codec="pcm_s16le"),
    "lossless.mkv": Film(codec="ffv1", sound_codec="pcm_s16le"),
    "deep.mp4": Film(pixels="yuv420p10le"),
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
    "no_sound.webm": replace(_SILENT, codec="libvpx"),
    "stereo.mp4": Film(layout="stereo", rate_hz=44100),
    "surround.mp4": Film(layout="5.1", rate_hz=48000),
    "telephone.mp4": Film(rate_hz=8000),
    "odd_rate.mp4": Film(rate_hz=11025),
    "voice.m4a": _VOICE,
    "voice.mp3": replace(_VOICE, sound_codec="libmp3lame"),
    "voice.ogg": replace(_VOICE, sound_codec="libopus"),
    "voice.flac": replace(_VOICE, sound_codec="flac"),
    "studio.wav": replace(_VOICE, sound_codec="pcm_s24le", rate_hz=192_000),
    "surround.wav": replace(_VOICE, sound_codec="pcm_s16le", layout="5.1"),
}


def _whole(folder: Path, silence_s: int) -> Iterator[Mutation]:
    for name, film in FILMS.items():
        yield Mutation(
            write_film(folder / name, film),
            "whole film",
            pictures="embedded" if film.times_s else "failed",
            sound="embedded" if film.sound_s else "failed",
            n_pictures=film.n_pictures() if film.times_s else None,
        )
    for name, image in _still_pictures().items():
        image.save(folder / name)
        yield Mutation(folder / name, "still picture", "embedded", "failed", 1)
    for name, content in headers_that_lie().items():
        (folder / name).write_bytes(content)
        yield Mutation(folder / name, "header that lies", "failed", "failed")
    path = folder / "silence.wav"
    path.write_bytes(wav(np.zeros(8000 * silence_s, np.int16), 8000))
    yield Mutation(path, "long silence", "failed", "embedded")
    path = folder / "click.wav"
    path.write_bytes(wav(np.full(80, 5000, np.int16), 8000))
    yield Mutation(path, "too short", "failed", "failed")


def _still_pictures() -> dict[str, Image.Image]:
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 4), dtype=np.uint8)
    picture = Image.fromarray(noise)
    grey = picture.convert("L")
    return {
        "still.png": picture.convert("RGB"),
        "clear.png": picture,
        "palette.png": picture.convert("P"),
        "deep.png": Image.fromarray(noise[:, :, 0].astype(np.uint16) * 257),
        "bits.png": grey.convert("1"),
        "one_pixel.png": grey.crop((0, 0, 1, 1)),
        "still.jpg": picture.convert("RGB"),
        "grey.jpg": grey,
        "print.jpg": picture.convert("CMYK"),
        "still.webp": picture.convert("RGB"),
        "still.bmp": picture.convert("RGB"),
        "still.tif": picture.convert("RGB"),
        "still.gif": picture.convert("P"),
    }


def headers_that_lie() -> dict[str, bytes]:
    silence = np.zeros(16000, np.int16)
    return {
        "huge.png": png(60_000, 60_000, zlib.compress(bytes(1000))),
        "thin.png": png(1, 1_000_000, zlib.compress(bytes(2_000_000))),
        "huge.gif": _with_size("GIF", 6, "<HH", 65_535),
        "large.gif": _with_size("GIF", 6, "<HH", 12_000),
        "huge.bmp": _with_size("BMP", 18, "<II", 2**31 - 1),
        "large.bmp": _with_size("BMP", 18, "<II", 20_000),
        "slow.wav": wav(silence, 1),
        "no_rate.wav": wav(silence, 0),
        "fast.wav": wav(silence, 2**31 - 1),
        "faster.wav": wav(silence, 4_000_000_000),
        "no_channel.wav": wav(silence, 16000, n_channels=0),
        "many_channels.wav": wav(silence, 16000, n_channels=65_535),
    }


def png(width: int, height: int, data: bytes) -> bytes:
    """Return a grey PNG file with this header and these data."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"".join(
        (b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), chunk(b"IDAT", data), chunk(b"IEND", b""))
    )


def wav(samples: NDArray[np.int16], rate_hz: int, n_channels: int = 1) -> bytes:
    """Return a WAV file of 16 bits; the header is not checked."""
    frame_bytes = 2 * n_channels
    bytes_per_s = frame_bytes * rate_hz % 2**32
    layout = struct.pack(
        "<IHHIIHH", 16, 1, n_channels, rate_hz, bytes_per_s, frame_bytes % 2**16, 16
    )
    data = samples.tobytes()
    size = struct.pack("<I", len(data))
    return b"".join(
        (b"RIFF", struct.pack("<I", 36 + len(data)), b"WAVEfmt ", layout, b"data", size, data)
    )


def _with_size(kind: str, offset: int, pattern: str, side: int) -> bytes:
    content = bytearray(_as_bytes(Image.new("P", (64, 48)), kind))
    struct.pack_into(pattern, content, offset, side, side)
    return bytes(content)


def _as_bytes(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def _foreign(folder: Path, clip: Path) -> Iterator[Mutation]:
    """Files that are no clips, or do not look like the clips they are."""
    content = clip.read_bytes()
    boxes = list(mp4_boxes(content))
    index = next(box for box in boxes if box.kind == "moov")
    body = next(box for box in boxes if box.kind == "mdat")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("clip.txt", "no clip")
    for name, junk in {
        "empty.mp4": b"",
        "one_byte.mp4": b"\0",
        "text.mp4": b"I am no clip.\n" * 50,
        "page.mp4": b"<!doctype html><title>Not found</title>" * 20,
        "archive.mp4": archive.getvalue(),
        "captions.mp4": b"1\n00:00:01,000 --> 00:00:02,000\nHello\n",
        "playlist.mp4": b"#EXTM3U\n#EXTINF:10,\nhttp://192.0.2.1/clip.ts\n#EXT-X-ENDLIST\n",
        "list.mp4": f"ffconcat version 1.0\nfile {clip}\n".encode(),
        "index_only.mp4": content[: body.start - 8] + content[index.start - 8 :],
        "body_only.mp4": content[: index.start - 8],
        "random.mp4": random.Random(0).randbytes(20_000),
    }.items():
        (folder / name).write_bytes(junk)
        yield Mutation(folder / name, "no clip", "failed", "failed")
    (folder / "folder.mp4").mkdir()
    yield Mutation(folder / "folder.mp4", "no clip", "failed", "failed")
    yield Mutation(folder / "missing.mp4", "no clip", "failed", "failed")
    for name in ("wrong.wav", "wrong.jpg", "wrong.txt", "no_extension", "12:30 %d ü.mp4"):
        (folder / name).write_bytes(content)
        yield Mutation(folder / name, "wrong name", "embedded", "embedded")
    (folder / "picture.mp4").write_bytes(_as_bytes(Image.new("RGB", (64, 48)), "JPEG"))
    yield Mutation(folder / "picture.mp4", "wrong name", "embedded", "failed", 1)
    empty = Patch("vide", "stts", 4, (0,)).apply(Patch("vide", "stsz", 8, (0,)).apply(content))
    (folder / "no_frames.mp4").write_bytes(empty)
    yield Mutation(folder / "no_frames.mp4", "zero frames", "failed", "embedded")
