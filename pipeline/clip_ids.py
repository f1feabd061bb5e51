"""Files and their clip ids; which ids, paths and files mean the same clip, however spelled."""

import re
import sys
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TypeVar
from urllib.parse import unquote

from features.media.endings import (
    MEDIA_SUFFIXES,
    PICTURE_SUFFIXES,
    SOUND_SUFFIXES,
    list_media_folder,
)
from features.places import kind_of
from pipeline.settings_files import ParamsError

_SUFFIXES = MEDIA_SUFFIXES | {".csv", ".gz", ".npy", ".npz", ".parquet", ".tsv", ".txt"}
_SUFFIXES |= {".arff", ".tab"}
_File = TypeVar("_File")
_INVISIBLE = re.compile(r"[\u00ad\u200b-\u200f\u2060\ufeff]")


def find_media(paths: Iterable[Path]) -> dict[str, Path]:
    """Collect media files; a folder, or its address, stands for all media files below it.

    What else lies there is left out, and one line on standard error says so.

    Returns
    -------
    dict of str to Path
        By clip id: the file's name without its ending. Where several have one name, such as
        ``mp4/00017.mp4`` and ``wav/00017.wav``: the path below the folder that was given, without
        its ending or with it; at last the path as given.

    Raises
    ------
    ParamsError
        When a path is missing, or nothing is found.
    """
    spellings: dict[Path, list[str]] = {}
    for path in paths:
        if (kind := kind_of(path)) is None:
            raise ParamsError(f"there is no file or folder {path}")
        found = list_media_folder(path) if kind == "folder" else None
        if found and found.left_out:
            print(f"left out of {path}: {found}", file=sys.stderr)
        for file in found.files if found else [path]:
            below = file.relative_to(path) if found else Path(path.name)
            forms = [Path(file.stem), below.with_suffix(""), below, file.with_suffix(""), file]
            # Composed, as tables have them; macOS takes letters with accents apart.
            composed = [unicodedata.normalize("NFC", each.as_posix()) for each in forms]
            spellings.setdefault(file, [*composed, file.as_posix()])
    if not spellings:
        raise ParamsError("no media file there: expected videos, sounds or pictures, such as .mp4")
    return {name: file for file, name in shortest_names(spellings).items()}


def shortest_names(spellings: Mapping[_File, Sequence[str]]) -> dict[_File, str]:
    """Return for each file the first of its names that no other file has, else the last one."""
    owners = Counter(form for forms in spellings.values() for form in set(forms))
    return {
        file: next((form for form in forms if owners[form] == 1), forms[-1])
        for file, forms in spellings.items()
    }


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


def match_ids(wanted: Iterable[str], have: Iterable[str]) -> Matches:
    """Match unique ids: equal ones first, then those that differ in spelling only."""
    return match_files({each: each for each in wanted}, have)


def match_files(wanted: Mapping[str, str], files: Iterable[str]) -> Matches:
    """Find what clips are called among files or ids, forgiving one spelling after the other.

    Of several that fit equally well a video is taken before a picture, and that before a sound.

    Parameters
    ----------
    wanted : mapping of str to str
        By wanted id: the clip's path, or its name with or without an ending. Of paths as many
        folders count as possible: ``x/1.mp4`` and ``y/1.mp4`` are two files. Clips of one path all
        get the file.
    files : iterable of str
        Paths with slashes, or ids.
    """
    matches = Matches()
    left, free = dict(wanted), dict.fromkeys(files)
    for what, plain in _SPELLINGS:
        alike = _by_key({file: file for file in free}, plain)
        for key, ids in _by_key(left, plain).items():
            ranked = sorted((_media_rank(file), file) for file in alike.get(key, []))
            if not ranked:
                continue
            best, *others = fitting = [file for _, file in ranked]
            is_exact = what == ""
            if (len(ids) > 1 and not is_exact) or (others and ranked[0][0] == ranked[1][0]):
                matches.ambiguous.update(dict.fromkeys(ids, fitting))
            else:
                matches.found.update(dict.fromkeys(ids, best))
                matches.beside.update({ids[0]: others} if others else {})
                if not is_exact and wanted[ids[0]] != _without_ending(best):
                    matches.differing.setdefault(what, {})[ids[0]] = best
            for each in ids:
                del left[each]
            for each in fitting:
                del free[each]
    matches.missing.extend(left)
    # What is left over may be called as one that was found by its path.
    clips = _by_key(matches.found, _without_ending)
    for file in free:
        same = clips.get(_without_ending(file), [])
        if len(same) == 1:
            matches.beside.setdefault(same[0], []).append(file)
        else:
            matches.unknown.append(file)
    return matches


def clean_path(path: str) -> str:
    """Write a path with slashes, without ``./`` and ``file://``, an address without its query."""
    path = path.strip().replace("\\", "/")
    path = re.sub(r"^(\w+://[^?#]*).*", r"\1", path).removeprefix("file://")
    return PurePosixPath(path).as_posix()


def plain_text(name: str) -> str:
    """Write what looks alike alike: composed, one kind of space, nothing that nobody sees."""
    visible = _INVISIBLE.sub("", unicodedata.normalize("NFC", name))
    return " ".join(visible.split())


def _media_rank(file: str) -> int:
    suffix = PurePosixPath(file).suffix.lower()
    return 2 if suffix in SOUND_SUFFIXES else 1 if suffix in PICTURE_SUFFIXES else 0


def _by_key(names: Mapping[str, str], plain: Callable[[str], str]) -> dict[str, list[str]]:
    groups = defaultdict(list)
    for each, name in names.items():
        groups[plain(name)].append(each)
    return groups


def _end_of_path(n_folders: int, path: str) -> str:
    *folders, name = unquote(plain_text(path)).split("/")
    if not folders:
        return path
    return "/".join([*folders[-n_folders:], _without_ending(name)]).casefold()


def _without_ending(name: str) -> str:
    name = name.rpartition("/")[2]
    stem, dot, ending = name.rpartition(".")
    return _without_ending(stem) if stem and (dot + ending).lower() in _SUFFIXES else name


def _unquoted(name: str) -> str:
    return _forgiving(3, unquote(name).replace("\\", "/"))


def _forgiving(n_steps: int, name: str) -> str:
    for _, step in _STEPS[:n_steps]:
        name = step(name)
    return name


def _as_integer(name: str) -> str:
    """Write ``17.0`` and R's ``1e+05`` as integers; anything else stays."""
    is_number = re.fullmatch(r"\d+(\.0+|(\.\d+)?[eE]\+\d+)", name)
    return f"{float(name):.0f}" if is_number and float(name).is_integer() else name


_STEPS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("folder or file ending", _without_ending),
    ("accents, spaces or invisible characters", plain_text),
    ("brackets", lambda name: name.strip("[](){}<>\"'# ")),
    ("folder or file ending", _unquoted),
    ("the way a number is written", _as_integer),
    ("case", str.casefold),
    ("spaces, _ and -", partial(re.sub, r"[\s_-]+", "_")),
    ("zero padding", partial(re.sub, r"(?<!\d)0+(?=\d)", "")),
)
# Whole paths first. Then each forgives what those before it forgive.
_SPELLINGS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("", str),
    ("accents, spaces or invisible characters", plain_text),
    *(("folder or file ending", partial(_end_of_path, n)) for n in (9, 4, 3, 2, 1)),
    *((what, partial(_forgiving, n + 1)) for n, (what, _) in enumerate(_STEPS)),
)
