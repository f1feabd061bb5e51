"""Damaged and odd media files, made of whole ones; equal seeds give equal files.

`Mutation.pictures` and `Mutation.sound` say what must become of a file. Where bytes were changed
at random that is open, but it must be noted.
"""

import io
import random
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from tests.features.mp4_patches import PATCHES, Patch, mp4_boxes
from tests.features.odd_media import (
    FILMS,
    as_bytes,
    headers_that_lie,
    still_pictures,
    wav,
    write_film,
)

Outcome = Literal["embedded", "failed", "either"]


@dataclass(frozen=True)
class Mutation:
    """One file, what was done to it, and what must become of it with encoders of each kind.

    `n_pictures` is the number of frames on screen at a grid of `GRID_HZ`; None: nobody can say.
    """

    path: Path
    kind: str
    pictures: Outcome = "either"
    sound: Outcome = "either"
    n_pictures: int | None = None


def mutate(
    source_clips: Sequence[Path], folder: Path, n: int, seed: int, *, silence_s: int = 60
) -> dict[str, Mutation]:
    """Write `n` files into `folder`; returns them by clip id.

    Whole variants and foreign files come first, then random damage to all clips and patched headers
    of the first, an mp4 with video and sound, in turn.
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


# Random damage: from a clip's bytes, another's, and a random generator, to bytes.

_Damage = Callable[[bytes, bytes, random.Random], bytes]


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


def _drop(content: bytes, _: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content))
    return content[:start] + content[start + rng.choice([1, 100, 10_000]) :]


_DAMAGE: dict[str, _Damage] = {
    "truncated": lambda content, _, rng: content[: rng.randrange(1, len(content))],
    "flipped_header": _flip_in_header,
    "flipped_body": _flip_in_body,
    "zeroed": lambda content, _, rng: _overwrite(content, bytes(len(content)), rng),
    "spliced": lambda content, other, rng: _overwrite(content, _end_of(other, rng), rng),
    "grafted": lambda content, other, rng: (
        content[: rng.randrange(len(content))] + _end_of(other, rng)
    ),
    "dropped": _drop,
    "appended": lambda content, other, rng: content + rng.choice([rng.randbytes(5000), other]),
}


def _end_of(content: bytes, rng: random.Random) -> bytes:
    return content[rng.randrange(len(content)) :]


def _whole(folder: Path, silence_s: int) -> Iterator[Mutation]:
    for name, film in FILMS.items():
        yield Mutation(
            write_film(folder / name, film),
            "whole film",
            pictures="embedded" if film.times_s else "failed",
            sound="embedded" if film.sound_s else "failed",
            n_pictures=film.n_pictures() if film.times_s else None,
        )
    for name, image in still_pictures().items():
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
    (folder / "picture.mp4").write_bytes(as_bytes(Image.new("RGB", (64, 48)), "JPEG"))
    yield Mutation(folder / "picture.mp4", "wrong name", "embedded", "failed", 1)
    empty = Patch("vide", "stts", 4, (0,)).apply(Patch("vide", "stsz", 8, (0,)).apply(content))
    (folder / "no_frames.mp4").write_bytes(empty)
    yield Mutation(folder / "no_frames.mp4", "zero frames", "failed", "embedded")
