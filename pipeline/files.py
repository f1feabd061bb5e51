"""Media files named on a command line."""

from collections.abc import Iterable
from pathlib import Path

from pipeline.params import ParamsError

MEDIA_SUFFIXES = frozenset(
    {".avi", ".bmp", ".flac", ".jpeg", ".jpg", ".m4a", ".m4v", ".mkv", ".mov", ".mp3", ".mp4"}
    | {".mpeg", ".mpg", ".ogg", ".opus", ".png", ".wav", ".webm", ".webp"}
)


def find_media(paths: Iterable[Path]) -> dict[str, Path]:
    """Collect media files; a folder stands for all media files below it.

    Returns
    -------
    dict of str to Path
        By clip id: the file's name without its ending.

    Raises
    ------
    ParamsError
        When a path is missing, nothing is found, or two files would have the same clip id.
    """
    found: dict[str, Path] = {}
    for path in paths:
        if not path.exists():
            raise ParamsError(f"there is no file or folder {path}")
        below = sorted(p for p in path.rglob("*") if _is_media(p))
        for file in below if path.is_dir() else [path]:
            other = found.setdefault(file.stem, file)
            if other != file:
                raise ParamsError(
                    f"{other} and {file} would both be the clip {file.stem!r}: rename one, or "
                    "extract them into different folders"
                )
    if not found:
        raise ParamsError(f"no media file there: expected one of {sorted(MEDIA_SUFFIXES)}")
    return found


def _is_media(path: Path) -> bool:
    # A leading dot marks hidden files, such as those that macOS puts beside others.
    return path.suffix.lower() in MEDIA_SUFFIXES and path.is_file() and path.name[0] != "."
