"""Clip ids as different files write them, and which of them mean the same clip."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.files import MEDIA_SUFFIXES

_SUFFIXES = MEDIA_SUFFIXES | {".csv", ".npy", ".npz", ".parquet", ".txt"}


def canonical_id(text: str) -> str:
    """Return an id without what differs between files: folders, ending, brackets, case, zeros.

    ``[00017]``, ``train/00017.MP4`` and ``17`` become ``17``; ``Clip_007`` becomes ``clip_7``.
    """
    name = text.strip().replace("\\", "/").rsplit("/", 1)[-1].casefold()
    stem, dot, ending = name.rpartition(".")
    if stem and dot + ending in _SUFFIXES:
        name = stem
    name = name.strip("[](){}<>\"' ")
    return re.sub(r"(?<!\d)0+(?=\d)", "", name)


@dataclass(frozen=True)
class IdMatches:
    """Which ids mean the same clip.

    Attributes
    ----------
    found : dict of str to str
        From an id that there is to the id wanted.
    missing : list of str
        Wanted ids that nothing belongs to, in their order.
    unknown : list of str
        Ids that there are and that are not wanted, in their order.
    ambiguous : list of (list of str, list of str)
        Ids that there are, and wanted ids, that all look alike and cannot be told apart.
    """

    found: dict[str, str]
    missing: list[str]
    unknown: list[str]
    ambiguous: list[tuple[list[str], list[str]]]


def match_ids(wanted: Iterable[str], have: Iterable[str]) -> IdMatches:
    """Match ids: equal ones first, then those of one canonical form.

    Parameters
    ----------
    wanted : iterable of str
        Unique ids, such as those of the label table.
    have : iterable of str
        Unique ids, such as the names of feature files.
    """
    wanted, have = list(wanted), list(have)
    found = {each: each for each in set(wanted).intersection(have)}
    alike: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for side, ids in enumerate((have, wanted)):
        for each in ids:
            alike[canonical_id(each)][side].append(each)
    ambiguous = []
    for theirs, ours in alike.values():
        rest = [each for each in theirs if each not in found]
        if not rest or not ours:
            continue
        if len(theirs) == len(ours) == 1:
            found[rest[0]] = ours[0]
        else:
            ambiguous.append((theirs, ours))
    unclear = {each for pair in ambiguous for ids in pair for each in ids}
    taken = set(found.values())
    return IdMatches(
        found=found,
        missing=[each for each in wanted if each not in taken and each not in unclear],
        unknown=[each for each in have if each not in found and each not in unclear],
        ambiguous=ambiguous,
    )
