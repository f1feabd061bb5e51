"""Upkeep of the embedding cache: list, verify, prune, and fill it from feature stores."""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from features.cache import DESCRIPTION, SUFFIX, DamagedError, EmbeddingCache, unpack
from features.places import UNFINISHED, open_place
from features.store import StoreError, stored_clips

_DAY_S = 86400


def list_cache(root: Path | str) -> list[dict[str, Any]]:
    """List the identities in a cache, the last used first.

    Returns
    -------
    list of dict
        ``identity`` (the folder's name), ``description`` (spec, weights digest and sampling; empty
        when the folder does not say), ``n_clips``, ``n_bytes``, and ``unused_days`` since a run
        opened it.
    """
    files, path = open_place(root)
    entries: list[dict[str, Any]] = []
    for identity in files.names(path):
        folder = f"{path}/{identity}"
        described = f"{folder}/{DESCRIPTION}"
        with suppress(FileNotFoundError, NotADirectoryError):  # none, or pruned meanwhile
            unused_s = time.time() - files.modified(described).timestamp()
            sizes = {name: each["size"] for name, each in files.find(folder, detail=True).items()}
            entry = {
                "identity": identity,
                "description": {},
                "n_clips": sum(name.endswith(SUFFIX) for name in sizes),
                "n_bytes": sum(sizes.values()),
                "unused_days": unused_s / _DAY_S,
            }
            with suppress(ValueError):  # cut short by a power failure: embeddings are checked
                entry["description"] = json.loads(files.read(described))
            entries.append(entry)
    return sorted(entries, key=lambda entry: entry["unused_days"])


def verify_cache(root: Path | str) -> Iterator[tuple[str, str | None]]:
    """Read every cached object; yields its path and what is wrong with it, None for nothing."""
    files, path = open_place(root)
    for each in files.find(path):
        if each.endswith(SUFFIX):
            with suppress(FileNotFoundError):  # pruned meanwhile
                try:
                    unpack(Path(each).stem, files.read(each))
                except DamagedError as error:
                    yield each, str(error)
                else:
                    yield each, None


def prune_cache(root: Path | str, unused_for_days: float) -> tuple[list[str], int]:
    """Remove the identities that no run used lately, and damage in the others.

    A run that uses at this moment what is removed has to be started again.

    Returns
    -------
    removed : list of str
        Identities, and paths of damaged objects.
    n_bytes : int
        Size of what was removed.
    """
    files, path = open_place(root)
    unused = [each for each in list_cache(root) if each["unused_days"] >= unused_for_days]
    for entry in unused:
        files.rm(f"{path}/{entry['identity']}", recursive=True)
    damaged = {each: files.size(each) for each, damage in verify_cache(root) if damage is not None}
    unfinished = [each for each in files.find(path) if each.endswith(UNFINISHED)]
    old_s = time.time() - _DAY_S
    for each in [*damaged, *(f for f in unfinished if files.modified(f).timestamp() < old_s)]:
        files.rm(each)
    n_bytes = sum(entry["n_bytes"] for entry in unused) + sum(damaged.values())
    return [*(entry["identity"] for entry in unused), *damaged], n_bytes


def seed_cache(store: Path, root: Path | str) -> int:
    """Fill a cache from a feature store, for example one that ``dvc pull`` brought.

    Returns
    -------
    int
        Clips that the cache did not hold yet.

    Raises
    ------
    StoreError
        When the store does not say what made it, or which bytes its clips have.
    """
    n_new, cache = 0, None
    for metadata, clips in stored_clips(store):
        if cache is None:
            if not {"identity", "spec"} <= metadata.keys():
                raise StoreError(f"{store} does not say what made it: extract it anew")
            description = {k: metadata[k] for k in metadata if k not in ("versions", "level")}
            cache = EmbeddingCache(root, metadata["identity"], description)
        for clip in clips:
            if clip.sha256 not in cache:
                cache.put(clip.sha256, clip.embedding)
                n_new += 1
    return n_new
