"""Damaged and odd media files, made of whole ones; equal seeds give equal files."""

import io
import itertools
import random
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image

from tests.features.mp4_patches import Patch, content_of
from tests.features.odd_media import (
    FILMS,
    as_bytes,
    headers_that_lie,
    wav,
    write_film,
)

Outcome = Literal["embedded", "failed", "either"]


class Mutation(NamedTuple):
    """One file, and what must become of it with encoders of pictures and of sound.

    Where bytes were changed at random that is open, but it must be noted. `n_pictures` is the
    number of frames on screen at a grid of `GRID_HZ`; None: nobody can say.
    """

    path: Path
    pictures: Outcome = "either"
    sound: Outcome = "either"
    n_pictures: int | None = None


def mutate(
    source_clips: Sequence[Path], folder: Path, n: int, seed: int, *, silence_s: int = 60
) -> dict[str, Mutation]:
    """Write `n` files into `folder`; returns them by clip id.

    Whole variants and foreign files come first, then random damage to all clips, in turn.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mutations = [*_whole(folder), *_contents(folder, source_clips[0], silence_s)]
    rng = random.Random(seed)
    contents = [path.read_bytes() for path in source_clips]
    kinds = itertools.cycle(_DAMAGE.items())
    for k, (name, damage) in zip(range(n - len(mutations)), kinds, strict=False):
        which = rng.randrange(len(contents))
        path = folder / f"{name}_{k}{source_clips[which].suffix}"
        path.write_bytes(damage(contents[which], rng.choice(contents), rng))
        mutations.append(Mutation(path))
    return {mutation.path.name: mutation for mutation in mutations}


def _flip(content: bytes, place: slice, n: int, rng: random.Random) -> bytes:
    flipped = bytearray(content)
    for _ in range(n):
        flipped[rng.randrange(place.start, place.stop)] ^= 1 << rng.randrange(8)
    return bytes(flipped)


def _overwrite(content: bytes, filling: bytes, rng: random.Random) -> bytes:
    length = min(rng.choice([1, 100, 10_000, len(content) // 2]), len(filling))
    start = rng.randrange(len(content))
    return content[:start] + filling[:length] + content[start + length :]


def _split(content: bytes, rng: random.Random) -> tuple[bytes, bytes]:
    start = rng.randrange(1, len(content))
    return content[:start], content[start:]


# Random damage: from a clip's bytes, another's, and a random generator, to bytes.
_DAMAGE: dict[str, Callable[[bytes, bytes, random.Random], bytes]] = {
    "truncated": lambda content, _, rng: _split(content, rng)[0],
    "flipped_header": lambda content, _, rng: _flip(
        content, content_of(content, "moov"), rng.choice([1, 3, 10, 100]), rng
    ),
    "flipped_body": lambda content, _, rng: _flip(
        content, slice(0, len(content)), rng.choice([1, 10, 100, 1000, len(content) // 20]), rng
    ),
    "zeroed": lambda content, _, rng: _overwrite(content, bytes(len(content)), rng),
    "spliced": lambda content, other, rng: _overwrite(content, _split(other, rng)[1], rng),
    "grafted": lambda content, other, rng: _split(content, rng)[0] + _split(other, rng)[1],
    "dropped": lambda content, _, rng: (
        (parts := _split(content, rng))[0] + parts[1][rng.choice([1, 100, 10_000]) :]
    ),
    "appended": lambda content, other, rng: content + rng.choice([rng.randbytes(5000), other]),
}


def _whole(folder: Path) -> Iterator[Mutation]:
    for name, film in FILMS.items():
        pictures = "embedded" if film.times_s else "failed"
        sound = "embedded" if film.sound_s else "failed"
        n_pictures = film.n_pictures() if film.times_s else None
        yield Mutation(write_film(folder / name, film), pictures, sound, n_pictures)
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 4), dtype=np.uint8)
    stills = {"still.png": "RGB", "clear.png": "RGBA", "print.jpg": "CMYK", "still.gif": "P"}
    for name, mode in stills.items():
        Image.fromarray(noise).convert(mode).save(folder / name)
        yield Mutation(folder / name, "embedded", "failed", 1)


def _contents(folder: Path, clip: Path, silence_s: int) -> Iterator[Mutation]:
    """Files that are no clips, or do not look like the clips they are."""
    content = clip.read_bytes()
    body, index = content_of(content, "mdat").start - 8, content_of(content, "moov").start - 8
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("clip.txt", "no clip")
    none: tuple[Outcome, Outcome] = "failed", "failed"
    no_clips = {
        "empty.mp4": b"",
        "archive.mp4": archive.getvalue(),
        "captions.mp4": b"1\n00:00:01,000 --> 00:00:02,000\nHello\n",
        "index_only.mp4": content[:body] + content[index:],
        "body_only.mp4": content[:index],
        "random.mp4": random.Random(0).randbytes(20_000),
        "click.wav": wav(np.full(80, 5000, np.int16), 8000),  # too short
    }
    no_frames = Patch("vide", "stts", 4, (0,)).apply(Patch("vide", "stsz", 8, (0,)).apply(content))
    wrong_names = ("wrong.wav", "wrong.jpg", "wrong.txt", "no_extension", "12:30 %d ü.mp4")
    made: dict[str, tuple[bytes, Outcome, Outcome]] = {
        **{name: (junk, *none) for name, junk in (no_clips | headers_that_lie()).items()},
        **dict.fromkeys(wrong_names, (content, "embedded", "embedded")),
        "picture.mp4": (as_bytes(Image.new("RGB", (64, 48)), "JPEG"), "embedded", "failed"),
        "no_frames.mp4": (no_frames, "failed", "embedded"),
        "silence.wav": (wav(np.zeros(8000 * silence_s, np.int16), 8000), "failed", "embedded"),
    }
    for name, (bytes_of_it, *outcomes) in made.items():
        (folder / name).write_bytes(bytes_of_it)
        yield Mutation(folder / name, *outcomes)
    (folder / "folder.mp4").mkdir()
    yield Mutation(folder / "folder.mp4", *none)
    yield Mutation(folder / "missing.mp4", *none)
