"""Upkeep of the embedding cache: list, verify, prune, and fill it from stores."""

import math
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.cache import (
    DESCRIPTION,
    EmbeddingCache,
    cache_in_use,
    cache_to_itself,
    clips_in,
    read_description,
    segments_in,
)
from features.segments import SEGMENT_BYTES, Place, SegmentWriter, read_record, scan_segment
from features.store import StoreError, stored_clips


@dataclass(frozen=True)
class CacheEntry:
    """The cached embeddings of one encoder identity.

    Attributes
    ----------
    identity : str
        Name of the folder.
    description : dict
        Spec, weights digest and sampling; empty when the folder does not say.
    n_clips : int
        Clips that are cached.
    n_bytes : int
        Size on disk.
    unused_days : float
        Days since a run opened it.
    """

    identity: str
    description: dict[str, Any]
    n_clips: int
    n_bytes: int
    unused_days: float


@dataclass(frozen=True)
class Damage:
    """What cannot be read of a segment.

    Attributes
    ----------
    path : Path
        The segment.
    what : str
        A clip's record, or bytes at its end.
    """

    path: Path
    what: str


@dataclass(frozen=True)
class Pruned:
    """What pruning did.

    Attributes
    ----------
    removed : list of str
        Identities removed altogether.
    rewritten : list of str
        Identities whose segments were written anew, without damage and copies.
    n_bytes_freed : int
        Bytes given back to the disk.
    """

    removed: list[str]
    rewritten: list[str]
    n_bytes_freed: int


def list_cache(root: Path) -> list[CacheEntry]:
    """List the identities in a cache, the last used first."""
    entries = []
    for folder in _folders(root):
        with suppress(FileNotFoundError):  # pruned meanwhile
            entries.append(_entry(folder))
    return sorted(entries, key=lambda entry: entry.unused_days)


def verify_cache(root: Path) -> Iterator[tuple[Path, list[Damage]]]:
    """Read every record and check its digest; yields each segment with its damage."""
    for folder in _folders(root):
        for path in segments_in(folder):
            with suppress(FileNotFoundError):  # pruned meanwhile
                yield path, _damage(path)


def prune_cache(root: Path, unused_for_days: float) -> Pruned:
    """Remove identities that no run used lately, and tidy up the segments of the others.

    Raises
    ------
    OSError
        When a run uses the cache.
    """
    removed, rewritten = [], []
    with cache_to_itself(root):
        n_bytes = _size(root)
        for folder in _folders(root):
            if _entry(folder).unused_days >= unused_for_days:
                shutil.rmtree(folder)
                removed.append(folder.name)
            elif _is_untidy(folder):
                _rewrite(folder)
                rewritten.append(folder.name)
        return Pruned(removed, rewritten, n_bytes - _size(root))


def seed_cache(store: Path, root: Path) -> int:
    """Fill a cache from a feature store, for example one that ``dvc pull`` brought.

    Returns
    -------
    int
        Clips that the cache did not hold yet.

    Raises
    ------
    StoreError
        When the store does not say what made it.
    """
    n_new = 0
    with cache_in_use(root):
        for metadata, clips in stored_clips(store):
            if not {"identity", "spec"} <= set(metadata):
                raise StoreError(f"{store} does not say what made it: extract it anew")
            description = {k: metadata[k] for k in metadata if k not in ("versions", "level")}
            cache = EmbeddingCache(root, metadata["identity"], description)
            for clip in clips:
                if clip.sha256 not in cache:
                    cache.put(clip.sha256, clip.embedding)
                    n_new += 1
            cache.flush()
    return n_new


def _folders(root: Path) -> list[Path]:
    return sorted(path.parent for path in root.glob(f"*/{DESCRIPTION}"))


def _entry(folder: Path) -> CacheEntry:
    return CacheEntry(
        identity=folder.name,
        description=read_description(folder) or {},
        n_clips=len(clips_in(folder)),
        n_bytes=_size(folder),
        unused_days=(time.time() - (folder / DESCRIPTION).stat().st_mtime) / 86400,
    )


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _damage(path: Path) -> list[Damage]:
    scan = scan_segment(path)
    damage = [
        Damage(path, f"the record of clip {clip}")
        for clip, place in scan.places
        if read_record(place) is None
    ]
    if scan.n_lost_bytes:
        damage.append(Damage(path, f"the last {scan.n_lost_bytes} bytes are no whole record"))
    return damage


def _is_untidy(folder: Path) -> bool:
    """Whether there are damage, copies, or many more segments than need be."""
    segments = segments_in(folder)
    n_needed = math.ceil(sum(path.stat().st_size for path in segments) / SEGMENT_BYTES)
    n_records = sum(len(scan_segment(path).places) for path in segments)
    is_scattered = len(segments) > 2 * n_needed
    return is_scattered or n_records > len(clips_in(folder)) or any(map(_damage, segments))


def _rewrite(folder: Path) -> None:
    """Copy what is whole into new segments, then drop the old ones: a kill leaves both."""
    old = segments_in(folder)
    copies: dict[str, list[Place]] = {}
    for path in old:
        for clip, place in scan_segment(path).places:
            copies.setdefault(clip, []).append(place)
    writer = SegmentWriter(folder)
    for clip, places in copies.items():
        whole = (found for place in reversed(places) if (found := read_record(place)) is not None)
        if (embedding := next(whole, None)) is not None:
            writer.append({clip: embedding})
    for path in set(segments_in(folder)).difference(old):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    for path in old:
        path.unlink()
