"""HEIC files as phones write them: one picture, large ones made of tiles, each an HEVC picture."""

import struct
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from tests.media import video, write_media

TILE_PX = 64


def write_heic(
    path: Path,
    picture: NDArray[np.uint8],
    *,
    turns: int = 0,
    mirror: int | None = None,
    profile: bytes = b"",
) -> Path:
    """Write a picture of shape (height, width, 3), in tiles if it is not as large as one.

    It is shown with `turns` quarter turns, anticlockwise, and then mirrored: 0 top and bottom, 1
    left and right. `profile` is of its colours (ICC).
    """
    height, width = picture.shape[:2]
    n_rows, n_columns = -(-height // TILE_PX), -(-width // TILE_PX)
    padding = ((0, n_rows * TILE_PX - height), (0, n_columns * TILE_PX - width), (0, 0))
    padded = np.pad(picture, padding, mode="edge")
    rows = padded.reshape(n_rows, TILE_PX, n_columns, TILE_PX, 3).swapaxes(1, 2)
    tiles = [*rows.reshape(-1, TILE_PX, TILE_PX, 3)]
    settings, coded = _coded(path.with_suffix(".mp4"), tiles)
    n = len(tiles)
    main = n + 1 if n > 1 else 1
    properties = [
        _box("hvcC", settings),
        _full("ispe", ">II", TILE_PX, TILE_PX),
        _full("ispe", ">II", width, height),
        _box("irot", bytes([turns])),
        _box("imir", bytes([mirror or 0])),
        _box("colr", b"prof" + profile),
    ]
    wanted = (3, True), (4, turns), (5, mirror is not None), (6, profile)
    of_whole = [number for number, is_wanted in wanted if is_wanted]
    tiles_own = [(k, [1, 2, *([6] if profile else [])]) for k in range(1, n + 1)]  # as phones do
    owned = [*tiles_own, (main, of_whole)] if n > 1 else [(main, [1, *of_whole])]
    ipma = b"".join(struct.pack(f">HB{len(p)}B", k, len(p), *p) for k, p in owned)
    kinds = [*[b"hvc1"] * n, b"grid"][:main]
    infe = [_full("infe", ">HH4sB", k, 0, kind, 0, version=2) for k, kind in enumerate(kinds, 1)]
    head = _box("ftyp", b"heic" + bytes(4) + b"mif1heic")

    def meta(offset: int) -> bytes:
        places = []
        for k, content in enumerate(coded, 1):
            places += [k, 0, 0, 1, offset, len(content)]
            offset += len(content)
        places += [main, 1, 0, 1, 0, 8] if n > 1 else []
        tiled = _box("dimg", struct.pack(f">HH{n}H", main, n, *range(1, n + 1)))
        parts = (
            _full("hdlr", ">4x4s13x", b"pict"),
            _full("pitm", ">H", main),
            _full("iinf", ">H", main, then=b"".join(infe)),
            _full("iref", "", then=tiled if n > 1 else b""),
            _box("iprp", _box("ipco", b"".join(properties)) + _full("ipma", ">I", main, then=ipma)),
            _full("iloc", ">BBH" + "HHHHII" * main, 0x44, 0, main, *places, version=1),
            _box("idat", struct.pack(">BBBBHH", 0, 0, n_rows - 1, n_columns - 1, width, height)),
        )
        return _full("meta", "", then=b"".join(parts))

    start = len(head) + len(meta(0)) + 8
    path.write_bytes(head + meta(start) + _box("mdat", b"".join(coded)))
    return path


def _coded(path: Path, tiles: list[NDArray[np.uint8]]) -> tuple[bytes, list[bytes]]:
    """Return the decoder's settings and the coded tiles, by way of an MP4."""
    options = {"crf": "2", "x265-params": "log-level=none:keyint=1:bframes=0"}
    write_media(path, video(tiles, "libx265", 1, "yuv444p", options=options))
    with av.open(path) as container:
        settings = bytes(container.streams.video[0].codec_context.extradata or b"")
        coded = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    path.unlink()
    return settings, coded


def _box(kind: str, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind.encode()) + content


def _full(kind: str, form: str, *numbers: object, then: bytes = b"", version: int = 0) -> bytes:
    return _box(kind, struct.pack(">I", version << 24) + struct.pack(form, *numbers) + then)
