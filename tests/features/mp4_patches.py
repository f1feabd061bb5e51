"""Patched headers: numbers of 32 bits in one box of an mp4 that FFmpeg wrote (version 0 boxes)."""

import struct
from collections.abc import Sequence
from typing import NamedTuple


def content_of(content: bytes, box: str, start: int = 0) -> slice:
    """Say where the content of the first such box lies, from a place of an mp4 on."""
    begin = content.index(box.encode(), start) + 4
    return slice(begin, begin - 8 + int.from_bytes(content[begin - 8 : begin - 4]))


class Patch(NamedTuple):
    """Numbers to write into the first such box of a track, ``vide`` or ``soun``.

    `offset` is where in the box's content.
    """

    track: str
    box: str
    offset: int
    values: tuple[int, ...]

    def apply(self, content: bytes) -> bytes:
        """Return the file with the numbers written."""
        handler = content.index(b"hdlr" + bytes(8) + self.track.encode())
        place = content_of(content, self.box, content.rindex(b"trak", 0, handler))
        start, data = place.start + self.offset, struct.pack(f">{len(self.values)}I", *self.values)
        assert start + len(data) <= place.stop, f"{self} does not fit into {place}"
        return content[:start] + data + content[start + len(data) :]


_NUMBERS = [(n,) for n in (0, 1, 50_000_000, 2**31 - 1, 2**32 - 1)]
_BOTH = ("vide", "soun")
_FIELDS: dict[str, tuple[str, tuple[str, ...], int, Sequence[tuple[int, ...]]]] = {
    "track_size": ("tkhd", ("vide",), 76, [(n, n) for (n,) in _NUMBERS]),
    "matrix": ("tkhd", ("vide",), 40, [(0,) * 9, (2**31 - 1,) * 9]),
    "time_scale": ("mdhd", _BOTH, 12, _NUMBERS),
    "media_duration": ("mdhd", _BOTH, 16, _NUMBERS),
    "time_count": ("stts", _BOTH, 4, _NUMBERS),
    "time_run": ("stts", _BOTH, 8, _NUMBERS),
    "time_delta": ("stts", _BOTH, 12, _NUMBERS),
    "sample_count": ("stsz", _BOTH, 8, _NUMBERS),
    "sample_size": ("stsz", _BOTH, 4, [(1, n) for n in (88_000_000, 2**32 - 1)]),
    "chunk_run": ("stsc", _BOTH, 12, _NUMBERS),
    "chunk_count": ("stco", _BOTH, 4, _NUMBERS),
    "chunk_offset": ("stco", _BOTH, 8, _NUMBERS),
    "picture_size": ("stsd", ("vide",), 40, [(n << 16 | n,) for n in (0, 1, 16384, 65535)]),
    "picture_codec": ("stsd", _BOTH, 12, [(0x7A7A7A7A,)]),
    "channels": ("stsd", ("soun",), 32, [(n << 16 | 16,) for n in (0, 64, 65535)]),
    "sound_rate": ("stsd", ("soun",), 40, _NUMBERS),
    "edit": ("elst", _BOTH, 8, [(2**31 - 1, 2**31 - 1), (0, 0), (1, 2**32 - 1)]),
}
PATCHES = {
    f"{name}_{track}_{values[-1]}": Patch(track, box, offset, values)
    for name, (box, tracks, offset, choices) in _FIELDS.items()
    for track in tracks
    for values in choices
}
