"""Pictures that are made of tiles (HEIC, as phones write it), which FFmpeg hands over one by one.

Its libraries leave it to the caller to put them together, and PyAV does not tell how: it is read
from the file's boxes (ISO/IEC 23008-12).
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from av.container import InputContainer
from av.video.frame import VideoFrame
from PIL import Image

from features.errors import MediaError
from features.media.pictures import Screen, check_size
from features.media.stills import to_srgb

_MAX_HEAD_BYTES = 16 * 2**20
_QUARTER_TURNS = (
    None,
    Image.Transpose.ROTATE_90,
    Image.Transpose.ROTATE_180,
    Image.Transpose.ROTATE_270,
)
_MIRRORS = (Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.FLIP_LEFT_RIGHT)


class Grid(NamedTuple):
    """How tiles make a picture.

    Attributes
    ----------
    n_columns : int
        Tiles beside each other.
    size : (int, int)
        Width and height of the picture, in pixels.
    tiles : tuple of int
        The streams' ids, row by row.
    turns : tuple of Transpose
        How it is turned and mirrored, in this order.
    profile : bytes
        Its ICC profile; empty without one.
    """

    n_columns: int
    size: tuple[int, int]
    tiles: tuple[int, ...]
    turns: tuple[Image.Transpose, ...]
    profile: bytes


def read_grid(path: Path) -> Grid | None:
    """Read how the main picture of a file is put together; None when it is not made of tiles."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_HEAD_BYTES)
        meta = dict(_boxes(dict(_boxes(content))["meta"][4:]))
        main = int.from_bytes(meta["pitm"][4:])
        tiles = _tiles(_Reader(meta["iref"]), main)
        layout = _Reader(_content_of(_Reader(meta["iloc"]), main, meta.get("idat", b""), content))
        long = layout.take(2) & 1
        n_columns = layout.take(2) % 256 + 1  # rows stand before
        size = layout.take(4 if long else 2), layout.take(4 if long else 2)
        owned = _properties_of(dict(_boxes(meta["iprp"])), main)
    except (KeyError, IndexError, OSError):
        return None
    turns = [_QUARTER_TURNS[value[0] & 3] for kind, value in owned if kind == "irot"]
    turns += [_MIRRORS[value[0] & 1] for kind, value in owned if kind == "imir"]
    profiles = [value[4:] for kind, value in owned if kind == "colr" and value[:4] == b"prof"]
    shown = tuple(turn for turn in turns if turn is not None)
    return Grid(n_columns, size, tiles, shown, profiles[0] if profiles else b"")


def put_together(container: InputContainer, grid: Grid) -> Image.Image:
    """Decode the tiles, and return the picture as it is shown.

    Raises
    ------
    MediaError
        Step ``decode`` when a tile is missing or the picture is too large.
    """
    check_size(*grid.size)
    picture = Image.new("RGB", grid.size)
    streams = {stream.id: stream for stream in container.streams.video}
    places = {stream_id: number for number, stream_id in enumerate(grid.tiles)}
    wanted = [streams[stream_id] for stream_id in grid.tiles if stream_id in streams]
    screens = {stream.index: Screen(stream, is_still=True) for stream in wanted}
    n_put = 0
    for packet in container.demux(wanted):
        for frame in packet.decode():
            assert isinstance(frame, VideoFrame)
            row, column = divmod(places[packet.stream.id], grid.n_columns)
            tile = screens[packet.stream.index].show(frame)
            picture.paste(tile, (column * tile.width, row * tile.height))
            n_put += 1
    if n_put < len(grid.tiles):
        raise MediaError("decode", f"only {n_put} of {len(grid.tiles)} tiles of the picture decode")
    for turn in grid.turns:
        picture = picture.transpose(turn)
    return to_srgb(picture, grid.profile) if grid.profile else picture


class _Reader:
    """Takes numbers off the front of a box."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = 0

    def take(self, n_bytes: int) -> int:
        self._position += n_bytes
        if self._position > len(self._content):
            raise IndexError("the box is too short")
        return int.from_bytes(self._content[self._position - n_bytes : self._position])


def _tiles(iref: _Reader, main: int) -> tuple[int, ...]:
    width = 4 if iref.take(4) >> 24 else 2
    while True:  # to the end of the box, where the reader raises
        _size, kind = iref.take(4), iref.take(4)
        item, ids = iref.take(width), [iref.take(width) for _ in range(iref.take(2))]
        if kind == int.from_bytes(b"dimg") and item == main:
            return tuple(ids)


def _content_of(iloc: _Reader, main: int, idat: bytes, file: bytes) -> bytes:
    """Return the content of an item, which lies in a box of its own or anywhere in the file."""
    version, sizes = iloc.take(4) >> 24, iloc.take(2)
    offset_size, length_size, base_size, index_size = (sizes >> k & 15 for k in (12, 8, 4, 0))
    for _ in range(iloc.take(2 if version < 2 else 4)):
        item = iloc.take(2 if version < 2 else 4)
        source = idat if version and iloc.take(2) & 15 == 1 else file
        iloc.take(2)
        base = iloc.take(base_size)
        extents = []
        for _ in range(iloc.take(2)):
            iloc.take(index_size if version else 0)
            extents.append((base + iloc.take(offset_size), iloc.take(length_size)))
        if item == main:
            return source[extents[0][0] :][: extents[0][1] or None]
    raise KeyError(main)


def _properties_of(iprp: dict[str, bytes], main: int) -> list[tuple[str, bytes]]:
    properties = list(_boxes(iprp["ipco"]))
    ipma = _Reader(iprp["ipma"])
    head = ipma.take(4)
    width = 2 if head & 1 else 1
    for _ in range(ipma.take(4)):
        item = ipma.take(4 if head >> 24 else 2)
        numbers = [ipma.take(width) & (32767 if width == 2 else 127) for _ in range(ipma.take(1))]
        if item == main:
            return [properties[number - 1] for number in numbers if number]
    return []


def _boxes(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the kinds and contents of the boxes that follow each other."""
    start = 0
    while start + 8 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, start)
        if size < 8:
            return
        yield kind.decode("latin1"), content[start + 8 : start + size]
        start += size
