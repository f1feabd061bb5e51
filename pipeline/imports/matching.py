"""Which media file belongs to which clip, although people spell ids in many ways."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pipeline.clip_ids import canonical_id
from pipeline.files import MEDIA_SUFFIXES
from pipeline.imports.findings import Findings

SOUND_SUFFIXES = frozenset({".flac", ".m4a", ".mp3", ".ogg", ".opus", ".wav"})
_PICTURE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".webp"})


@dataclass
class Matches:
    """Files of clips; all files as text, relative to one folder.

    Attributes
    ----------
    file_of : dict of str to str
        The file of each clip that has one.
    beside : dict of str to list of str
        Files of the same name and another kind, such as the sound of a video; not used.
    differing : dict of str to dict of str to str
        By what differs between id and file name: the files by clip.
    ambiguous : dict of str to list of str
        Clips that several files would fit, or whose file several clips would fit.
    """

    file_of: dict[str, str] = field(default_factory=dict)
    beside: dict[str, list[str]] = field(default_factory=dict)
    differing: dict[str, dict[str, str]] = field(default_factory=dict)
    ambiguous: dict[str, list[str]] = field(default_factory=dict)

    def add(self, other: "Matches") -> None:
        """Take over the matches of other clips."""
        self.file_of |= other.file_of
        self.beside |= other.beside
        self.ambiguous |= other.ambiguous
        for what, files in other.differing.items():
            self.differing.setdefault(what, {}).update(files)

    @property
    def sound_beside(self) -> frozenset[str]:
        """Clips that have a sound file beside the one that is used."""
        return frozenset(
            clip for clip, files in self.beside.items() if any(is_sound(file) for file in files)
        )

    @property
    def claimed(self) -> set[str]:
        """Every file that belongs to a clip."""
        beside = {file for files in self.beside.values() for file in files}
        return set(self.file_of.values()) | beside


def is_sound(file: str) -> bool:
    """Whether a file is one of sound alone, by its ending."""
    return PurePosixPath(file).suffix.lower() in SOUND_SUFFIXES


def list_media(folder: Path) -> list[str]:
    """List the media files below a folder, relative to it and sorted; hidden ones left out."""
    found = []
    for place, _, names in os.walk(folder):
        below = Path(place).relative_to(folder)
        found += [
            (below / name).as_posix()
            for name in names
            if name[0] != "." and PurePosixPath(name).suffix.lower() in MEDIA_SUFFIXES
        ]
    return sorted(found)


def match_files(names: Mapping[str, str], files: Iterable[str]) -> Matches:
    """Find the file of each clip by name.

    First come files named exactly so; then brackets, the file's ending, case and zero padding may
    differ, one after the other. Of files of one name a video is preferred to a picture, and a
    picture to a sound. What would fit several is left without a file.

    Parameters
    ----------
    names : mapping of str to str
        By clip id: what the file is called.
    files : iterable of str
        Paths.
    """
    matches = Matches()
    left = dict(names)
    free = set(files)
    for what, key in _LEVELS:
        ids_of = _group((key(name), clip) for clip, name in left.items())
        files_of = _group((key(PurePosixPath(file).stem), file) for file in sorted(free))
        for each, ids in ids_of.items():
            candidates = sorted(files_of.get(each, []), key=_rank)
            if not candidates:
                continue
            best = [file for file in candidates if _rank(file) == _rank(candidates[0])]
            if len(ids) > 1 or len(best) > 1:
                matches.ambiguous |= dict.fromkeys(ids, candidates)
                continue
            (clip,) = ids
            matches.file_of[clip] = candidates[0]
            if candidates[1:]:
                matches.beside[clip] = candidates[1:]
            if what:
                matches.differing.setdefault(what, {})[clip] = candidates[0]
            free.difference_update(candidates)
            matches.ambiguous.pop(clip, None)
            del left[clip]
    return matches


def match_paths(paths: Mapping[str, str], files: Iterable[str]) -> Matches:
    """Find the file of each clip by its path; one that is not there is looked for by name.

    Parameters
    ----------
    paths : mapping of str to str
        By clip id, relative to the folder of the files; backslashes are understood.
    files : iterable of str
        Paths.
    """
    free = set(files)
    clean = {clip: clean_path(path) for clip, path in paths.items()}
    matches = Matches({clip: path for clip, path in clean.items() if path in free})
    left = {c: PurePosixPath(path).stem for c, path in clean.items() if c not in matches.file_of}
    found = match_files(left, free - matches.claimed)
    moved = {c: f for c, f in found.file_of.items() if PurePosixPath(clean[c]).name == _name(f)}
    found.differing["folder"] = moved
    ending = {c: f for c, f in found.file_of.items() if left[c] == PurePosixPath(f).stem}
    found.differing["file ending"] = {c: f for c, f in ending.items() if c not in moved}
    matches.add(found)
    return matches


def clean_path(path: str) -> str:
    """Write a path with slashes and without ``./``."""
    return PurePosixPath(path.replace("\\", "/")).as_posix()


def report_matches(matches: Matches, names: Iterable[str], files: list[str], to: Findings) -> None:
    """Note what differs between ids and files, and what has no counterpart."""
    for what, found in matches.differing.items():
        pairs = [f"{clip} -> {file}" for clip, file in found.items()]
        to.add(f"ids and files differ by {what}", "warning", pairs, "taken as the same clip")
    beside = [f"{clip}: {', '.join(found)}" for clip, found in matches.beside.items()]
    done = "not used: a clip is one file, and a video's own sound is read"
    to.add("files of another kind beside a clip's", "note", beside, done)
    unclear = [f"{clip}: {' or '.join(fits)}" for clip, fits in matches.ambiguous.items()]
    advice = "none was chosen: give the table a column with the path, or rename files"
    to.add("several files fit an id, or several ids a file", "error", unclear, advice)
    lost = [n for n in names if n not in matches.file_of and n not in matches.ambiguous]
    if files:
        done = "kept: the index lists them as unreadable, and predictions.csv as the training mean"
        to.add("labels without media", "warning", lost, done)
    else:
        to.add("no media at all", "warning", lost, "path is left empty: features must be imported")
    fitting = {file for fits in matches.ambiguous.values() for file in fits}
    alone = [file for file in files if file not in matches.claimed | fitting]
    to.add("media without labels", "warning", alone, "left alone; they are no clips")


def _group(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    groups = defaultdict(list)
    for key, item in pairs:
        groups[key].append(item)
    return groups


def _rank(file: str) -> int:
    suffix = PurePosixPath(file).suffix.lower()
    return 2 if suffix in SOUND_SUFFIXES else 1 if suffix in _PICTURE_SUFFIXES else 0


def _name(path: str) -> str:
    return PurePosixPath(path).name


def _same(name: str) -> str:
    return name


def _bare(name: str) -> str:
    return name.strip().removeprefix("[").removesuffix("]").strip()


def _without_ending(name: str) -> str:
    bare = _bare(name)
    suffix = PurePosixPath(bare).suffix
    return _bare(bare.removesuffix(suffix)) if suffix.lower() in MEDIA_SUFFIXES else bare


def _folded(name: str) -> str:
    return _without_ending(name).casefold()


# Each forgives what those before it forgive.
_LEVELS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("", _same),
    ("brackets", _bare),
    ("file ending", _without_ending),
    ("case", _folded),
    ("zero padding", canonical_id),
)
