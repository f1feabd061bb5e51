"""Patched headers: one number in one box of an mp4 that FFmpeg wrote (version 0 boxes)."""

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Box(NamedTuple):
    """A box of an mp4: its four letters, and where its content lies in the file."""

    kind: str
    start: int
    size: int


class Patch(NamedTuple):
    """Numbers of 32 bits to write into the first such box of a track, ``vide`` or ``soun``.

    `offset` is where in the box's content.
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
        track, found = "", {}
        for box in mp4_boxes(content):
            if box.kind == "trak":
                track, found = "", {}
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
