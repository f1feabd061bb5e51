"""Which files of a folder are media, by the endings of their names, and which are left out why."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from features.places import address_of, open_place


def _suffixes(*endings: str) -> frozenset[str]:
    return frozenset(f".{ending}" for line in endings for ending in line.split())


VIDEO_SUFFIXES = _suffixes(
    "264 265 3g2 3gp amv asf avi divx dv f4v flv gif h264 h265 hevc ivf lrv m1v m2t m2ts m2v m4v",
    "mjpeg mjpg mkv mod mov mp4 mpe mpeg mpg mts mxf nut ogm ogv qt rm rmvb tod trp ts vob webm",
    "wmv wtv y4m",
)
SOUND_SUFFIXES = _suffixes(
    "aac ac3 aif aifc aiff amr ape au caf eac3 flac m4a m4b m4r mka mp2 mp3 mpga oga ogg opus ra",
    "snd sph spx tta voc w64 wav wave weba wma wv",
)
PICTURE_SUFFIXES = _suffixes(
    "apng avif bmp heic heif hif jfif jp2 jpe jpeg jpg pbm pgm png pnm ppm tga tif tiff webp"
)
MEDIA_SUFFIXES = VIDEO_SUFFIXES | SOUND_SUFFIXES | PICTURE_SUFFIXES
"""What FFmpeg opens and people have. A file named by itself is tried whatever its ending."""


class MediaFolder(NamedTuple):
    """What lies below a folder; hidden files and folders are passed over.

    Attributes
    ----------
    files : tuple of Path
        The media files, sorted. Linked folders are entered, each folder once.
    left_out : dict of Path to str
        All others, sorted, and why each is not taken.
    broken : dict of Path to str
        What nobody can read, hidden or not, and why: DVC stops there, or waits for ever.
    """

    files: tuple[Path, ...]
    left_out: dict[Path, str]
    broken: dict[Path, str]

    def __str__(self) -> str:
        """Count what was left out, by reason, with an example of each."""
        by_reason: dict[str, list[Path]] = {}
        for path, reason in self.left_out.items():
            by_reason.setdefault(reason, []).append(path)
        return "; ".join(
            f"{len(paths)} {reason} ({paths[0].name}{', ...' if len(paths) > 1 else ''})"
            for reason, paths in by_reason.items()
        )


def list_media_folder(folder: Path) -> MediaFolder:
    """List the media files below a folder or an address, and what else lies there.

    Nothing is opened: a link to nothing or a named pipe cannot hold it up.
    """
    files: list[Path] = []
    left_out: dict[Path, str] = {}
    broken: dict[Path, str] = {}

    def note(error: OSError) -> None:
        path = Path(error.filename)
        left_out[path] = broken[path] = f"cannot be read: {error.strerror}"

    address = address_of(folder)
    for path in _below(folder, note) if address is None else _below_address(folder, address):
        is_file = address is not None or path.is_file()
        if not is_file:
            broken[path] = "no regular file, or a link to none"
        elif address is None and not os.access(path, os.R_OK):
            broken[path] = "not readable for this user"
        ending = path.suffix.lower()
        if path.name[0] == ".":
            continue
        if ending not in MEDIA_SUFFIXES:
            left_out[path] = f"with the ending {ending}" if ending else "without an ending"
        elif not is_file:
            left_out[path] = broken[path]
        else:
            files.append(path)
    return MediaFolder(tuple(sorted(files)), *(dict(sorted(e.items())) for e in (left_out, broken)))


def _below(folder: Path, note: Callable[[OSError], None]) -> Iterator[Path]:
    """Yield what lies below a folder, without hidden folders."""
    entered = set()
    for root, folders, names in os.walk(folder, onerror=note, followlinks=True):
        real = os.path.realpath(root)
        # A link to a folder above would lead round in circles.
        folders[:] = [] if real in entered else sorted(name for name in folders if name[0] != ".")
        yield from (Path(root, name) for name in names if real not in entered)
        entered.add(real)


def _below_address(folder: Path, address: str) -> Iterator[Path]:
    files, where = open_place(address)
    for path in files.find(where):
        below = PurePosixPath(path).relative_to(where)
        if not any(name[0] == "." for name in below.parts[:-1]):
            yield folder / below
