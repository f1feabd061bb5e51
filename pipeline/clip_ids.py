"""Files and their clip ids; which ids, paths and files mean the same clip, however spelled."""

import re
import sys
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from features.media.endings import (
    MEDIA_SUFFIXES,
    PICTURE_SUFFIXES,
    SOUND_SUFFIXES,
    list_media_folder,
)
from pipeline.settings_files import ParamsError

_SUFFIXES = MEDIA_SUFFIXES | {".csv", ".npy", ".npz", ".parquet", ".txt"}


@dataclass(frozen=True)
class Matches:
    """What belongs to the ids that are wanted.

    Attributes
    ----------
    found : dict of str to str
        By wanted id: the one id or file that means the same clip.
    beside : dict of str to list of str
        By wanted id: further files that would fit less well, such as the sound of a video.
    differing : dict of str to dict of str to str
        By what had to be forgiven, such as ``case``: the part of `found` that needed it.
    ambiguous : dict of str to list of str
        By wanted id: what fits it equally well, or fits other wanted ids too. It is not in `found`.
    missing, unknown : list of str
        Wanted ids that nothing belongs to; and what belongs to no wanted id.
    """

    found: dict[str, str] = field(default_factory=dict)
    beside: dict[str, list[str]] = field(default_factory=dict)
    differing: dict[str, dict[str, str]] = field(default_factory=dict)
    ambiguous: dict[str, list[str]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


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


def canonical_id(text: str) -> str:
    """Return an id without what differs between files: folders, ending, brackets, case, zeros.

    ``[00017]``, ``train/00017.MP4`` and ``17`` become ``17``; ``Clip_007`` becomes ``clip_7``.
    """
    return re.sub(r"(?<!\d)0+(?=\d)", "", _folded(text))


def clean_path(path: str) -> str:
    """Write a path with slashes and without ``./``."""
    return PurePosixPath(path.replace("\\", "/")).as_posix()


def media_rank(file: str) -> int:
    """Return 0 for a video, 1 for a picture and 2 for a sound, by the file's ending."""
    suffix = PurePosixPath(file).suffix.lower()
    return 2 if suffix in SOUND_SUFFIXES else 1 if suffix in PICTURE_SUFFIXES else 0


def match_ids(wanted: Iterable[str], have: Iterable[str]) -> Matches:
    """Match unique ids: equal ones first, then those that differ in spelling only."""
    return _match({each: each for each in wanted}, {each: each for each in have}, lambda _: 0)


def match_files(names: Mapping[str, str], files: Iterable[str]) -> Matches:
    """Find the file of each clip by the file's name: a video, else a picture, else a sound.

    Parameters
    ----------
    names : mapping of str to str
        By wanted id: what the file is called, without its ending.
    files : iterable of str
        Paths, with slashes.
    """
    return _match(names, {file: _stem(file) for file in files}, media_rank)


def match_paths(paths: Mapping[str, str], files: Iterable[str]) -> Matches:
    """Find the file of each clip by its clean path; one that is not there is looked for by name.

    Several ids may have one path: they all get the file.
    """
    there = dict.fromkeys(files)
    exact = {each: path for each, path in paths.items() if path in there}
    taken = set(exact.values())
    free = {file: _stem(file) for file in there if file not in taken}
    left = {each: _stem(path) for each, path in paths.items() if each not in exact}
    by_name = _match(left, free, media_rank, "folder or file ending")
    # What is left over may have the name of a clip that was found by its path.
    named = _by_key({each: _stem(path) for each, path in exact.items()}, _same)
    beside, unknown = dict(by_name.beside), []
    for file in by_name.unknown:
        clips = named.get(_stem(file), [])
        if len(clips) == 1:
            beside.setdefault(clips[0], []).append(file)
        else:
            unknown.append(file)
    return replace(by_name, found=exact | by_name.found, beside=beside, unknown=unknown)


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
    paths = [Path(file.stem), below.with_suffix(""), below, file.with_suffix(""), file]
    # Composed, as tables have them; macOS takes letters with accents apart.
    composed = [unicodedata.normalize("NFC", path.as_posix()) for path in paths]
    return [*composed, file.as_posix()]


def _stem(path: str) -> str:
    return PurePosixPath(path).stem


def _match(
    wanted: Mapping[str, str],
    have: Mapping[str, str],
    rank: Callable[[str], int],
    as_it_is: str = "",
) -> Matches:
    """Match by names, first as they are, then forgiving one thing after the other.

    Of several that fit, the one of the smallest rank is taken. `as_it_is` says what differs
    already where names are equal.
    """
    matches = Matches()
    left, free = dict(wanted), dict(have)
    for what, plain in [(as_it_is, _same), *_SPELLINGS]:
        alike = _by_key(free, plain)
        for key, ids in _by_key(left, plain).items():
            ranked = sorted((rank(each), each) for each in alike.get(key, []))
            if not ranked:
                continue
            best, *others = fitting = [each for _, each in ranked]
            if len(ids) > 1 or (others and ranked[0][0] == ranked[1][0]):
                matches.ambiguous.update(dict.fromkeys(ids, fitting))
            else:
                matches.found[ids[0]] = best
                matches.beside.update({ids[0]: others} if others else {})
                if what:
                    matches.differing.setdefault(what, {})[ids[0]] = best
            for each in ids:
                del left[each]
            for each in fitting:
                del free[each]
    return replace(matches, missing=list(left), unknown=list(free))


def _by_key(names: Mapping[str, str], plain: Callable[[str], str]) -> dict[str, list[str]]:
    groups = defaultdict(list)
    for each, name in names.items():
        groups[plain(name)].append(each)
    return groups


def _same(name: str) -> str:
    return name


def _bare(name: str) -> str:
    return name.strip("[](){}<>\"' \t")


def _without_ending(name: str) -> str:
    name = _bare(name.strip().replace("\\", "/").rsplit("/", 1)[-1])
    stem, dot, ending = name.rpartition(".")
    return _bare(stem) if stem and (dot + ending).lower() in _SUFFIXES else name


def _folded(name: str) -> str:
    return _without_ending(name).casefold()


# Each forgives what those before it forgive.
_SPELLINGS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("brackets", _bare),
    ("folder or file ending", _without_ending),
    ("case", _folded),
    ("zero padding", canonical_id),
)
