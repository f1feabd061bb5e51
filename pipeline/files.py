"""Media files named on a command line."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from features.media.endings import MEDIA_SUFFIXES, list_media_folder
from pipeline.params import ParamsError


def find_media(paths: Iterable[Path]) -> dict[str, Path]:
    """Collect media files; a folder stands for all media files below it.

    What else lies there is left out, and one line on standard error says so.

    Where several files have one name, such as ``mp4/00017.mp4`` and ``wav/00017.wav``, their ids
    are paths, and one line on standard error says so.

    Returns
    -------
    dict of str to Path
        By clip id: the file's name without its ending. Where names are not enough: the path below
        the folder that was given, without its ending or with it; at last the path as given.

    Raises
    ------
    ParamsError
        When a path is missing, or nothing is found.
    """
    spellings: dict[Path, Sequence[str]] = {}
    for path in paths:
        if not path.exists():
            raise ParamsError(f"there is no file or folder {path}")
        for file, below in _files_of(path):
            spellings.setdefault(file, _spellings(file, below))
    if not spellings:
        raise ParamsError(f"no media file there: expected one of {sorted(MEDIA_SUFFIXES)}")
    level = dict.fromkeys(spellings, 0)
    while True:
        ids = {file: spellings[file][level[file]] for file in spellings}
        n_files = Counter(ids.values())
        alike = [file for file in ids if n_files[ids[file]] > 1]
        if not alike:
            break
        for file in alike:
            level[file] = min(level[file] + 1, len(spellings[file]) - 1)
    renamed = [ids[file] for file in ids if level[file]]
    if renamed:
        print(
            f"{len(renamed)} files share their name with another: their clip ids are paths, such "
            f"as {renamed[0]!r}",
            file=sys.stderr,
        )
    return {clip_id: file for file, clip_id in ids.items()}


def _files_of(path: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the media files of a path, and where they lie below it."""
    if not path.is_dir():
        yield path, Path(path.name)
        return
    found = list_media_folder(path)
    if found.left_out:
        print(f"left out of {path}: {found}", file=sys.stderr)
    for file in found.files:
        yield file, file.relative_to(path)


def _spellings(file: Path, below: Path) -> list[str]:
    """Return what may name a file, the shortest first; the last one no other file has."""
    paths = [below.with_suffix(""), below, file.with_suffix(""), file]
    return [file.stem, *(path.as_posix() for path in paths)]
