"""Still pictures, and animated WebP, as Pillow and browsers show them.

FFmpeg hands over the tiles of HEIC, as phones write it, one by one, and PyAV does not tell how they
make a picture: that is read from the file's boxes (ISO/IEC 23008-12).
"""

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from PIL import Image, ImageOps

from features.errors import MediaError
from features.media.pictures import Screen, by_profile, check_size, is_beyond_srgb, on_white

_FORMATS = ("AVIF", "BMP", "JPEG", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP")
_MAX_HEAD_BYTES = 16 * 2**20


def read_still(
    path: Path, container: InputContainer
) -> Iterator[tuple[Fraction, Fraction, Image.Image]] | None:
    """Read the pictures of a still file, as they are shown.

    In sRGB by their ICC profile, turned and mirrored as the file says, transparent ones on white.
    All but animated WebP and AVIF hold one.

    Returns
    -------
    iterator of (Fraction, Fraction, Image) or None
        When each picture is shown, for how long (0: the file does not say), both in seconds, and
        the picture in RGB. None where `container` has to be read as a video.

    Raises
    ------
    MediaError
        Step ``decode`` for a damaged picture, or one beyond the bounds of
        `features.media.pictures`; also later, from the iterator.
    """
    if "major_brand" in container.metadata and (grid := _read_grid(path)):
        return iter([(Fraction(0), Fraction(0), _put_together(container, grid))])
    if any(is_beyond_srgb(stream.codec_context) for stream in container.streams.video):
        return None  # Pillow would show HDR as it is coded
    try:
        image = Image.open(path, formats=_FORMATS)
    except Image.DecompressionBombError as error:
        raise MediaError("decode", str(error)) from None
    except (OSError, ValueError, SyntaxError):
        return None
    check_size(*image.size)
    return _pictures(image)


def _pictures(image: Image.Image) -> Iterator[tuple[Fraction, Fraction, Image.Image]]:
    time_s = Fraction(0)
    is_animated = image.format in {"AVIF", "WEBP"}
    try:
        for number in range(getattr(image, "n_frames", 1) if is_animated else 1):
            image.seek(number)
            image.load()
            duration_s = Fraction(image.info.get("duration", 0)) / 1000
            yield time_s, duration_s, _as_shown(image)
            time_s += duration_s
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise MediaError("decode", f"the picture is damaged: {error}") from None


def _as_shown(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile", b"")
    is_scaled = image.format == "PPM"  # Pillow has the 16 bits of PGM in 32
    image = ImageOps.exif_transpose(image)
    if image.mode == "F" or (image.mode == "I" and not is_scaled):
        raise ValueError("it holds numbers of 32 bits without a scale; write it in 8 or 16")
    if image.mode.startswith("I"):  # Pillow would cut them at 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.has_transparency_data:
        image = on_white(image)
    elif image.mode == "P":
        image = image.convert("RGB")
    return by_profile(image, profile)


class _Grid(NamedTuple):
    """How tiles make a picture: their streams' ids, row by row, and what is done to the whole."""

    tiles: list[int]
    size: tuple[int, int]  # width and height, in pixels
    quarter_turns: int  # anticlockwise
    mirrored_axis: int | None  # then: 0 top and bottom, 1 left and right
    profile: bytes


def _read_grid(path: Path) -> _Grid | None:
    """Read how the main picture of a file is put together; None when it is not made of tiles."""
    try:
        with path.open("rb") as file:
            meta = dict(_boxes(dict(_boxes(file.read(_MAX_HEAD_BYTES)))["meta"][4:]))
        main = int.from_bytes(meta["pitm"][4:])
        width = np.dtype(">u4" if meta["iref"][0] else ">u2")
        items = [box for kind, box in _boxes(meta["iref"][4:]) if kind == "dimg"]
        made_of = {
            int.from_bytes(box[: width.itemsize]): box[width.itemsize + 2 :] for box in items
        }
        tiles = np.frombuffer(made_of[main], width).tolist()
        owned = _properties_of(dict(_boxes(meta["iprp"])), main)
        return _Grid(
            tiles,
            struct.unpack(">II", owned["ispe"][4:]),
            owned["irot"][0] & 3 if "irot" in owned else 0,
            owned["imir"][0] & 1 if "imir" in owned else None,
            owned["colr"][4:] if owned.get("colr", b"").startswith(b"prof") else b"",
        )
    except (KeyError, IndexError, ValueError, struct.error, OSError):
        return None


def _properties_of(iprp: dict[str, bytes], main: int) -> dict[str, bytes]:
    """Return the properties of an item, by their kinds; of two colours those with a profile."""
    properties = list(_boxes(iprp["ipco"]))
    ipma, position = iprp["ipma"], 8
    head = ">IB" if ipma[0] else ">HB"
    width, mask = ("H", 32767) if ipma[3] & 1 else ("B", 127)  # the highest bit is a flag
    for _ in range(int.from_bytes(ipma[4:8])):
        item, n = struct.unpack_from(head, ipma, position)
        numbers = struct.unpack_from(f">{n}{width}", ipma, position + struct.calcsize(head))
        position += struct.calcsize(head) + struct.calcsize(f">{n}{width}")
        if item == main:
            owned = [properties[(k & mask) - 1] for k in numbers if k & mask]
            return dict(each for each in owned if each[1][:4] != b"nclx")
    return {}


def _put_together(container: InputContainer, grid: _Grid) -> Image.Image:
    """Decode the tiles, and return the picture as it is shown."""
    check_size(*grid.size)
    picture = Image.new("RGB", grid.size)
    streams = [stream for stream in container.streams.video if stream.id in grid.tiles]
    screens = {stream.id: Screen(stream, is_still=True, is_tile=True) for stream in streams}
    n_put = 0
    for packet in container.demux(streams):
        for frame in packet.decode():
            assert isinstance(frame, VideoFrame)
            tile = screens[packet.stream.id].show(frame)
            place = grid.tiles.index(packet.stream.id)
            row, column = divmod(place, -(-grid.size[0] // tile.width))
            picture.paste(tile, (column * tile.width, row * tile.height))
            n_put += 1
    if n_put < len(grid.tiles):
        raise MediaError("decode", f"only {n_put} of {len(grid.tiles)} tiles of the picture decode")
    pixels = np.rot90(np.asarray(picture), grid.quarter_turns)
    if grid.mirrored_axis is not None:
        pixels = np.flip(pixels, grid.mirrored_axis)
    return by_profile(Image.fromarray(pixels), grid.profile)


def _boxes(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the kinds and contents of the boxes that follow each other."""
    start = 0
    while start + 8 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, start)
        if size < 8:
            return
        yield kind.decode("latin1"), content[start + 8 : start + size]
        start += size
