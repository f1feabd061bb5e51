"""Results kept on disk under a digest of all that they depend on, for every command to share.

They lie in the folder ``results`` beside the cached embeddings, an npz file each. A file is there
as a whole or not at all; a damaged one counts as not there.
"""

import hashlib
import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.cache import default_cache_root
from features.files import replacing_file

MAX_BYTES = 8 * 2**30
"""Beyond this size the least recently used files are removed."""

_IN_USE_S = 3600.0


def digest_of(**parts: object) -> str:
    """Return a digest of parts that JSON can hold, 32 hexadecimal digits.

    Examples
    --------
    >>> digest_of(head="ridge", seed=0) == digest_of(seed=0, head="ridge")
    True
    """
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def result_file(key: str, suffix: str = ".npz") -> Path:
    """Where the result under a key is, or will be; one that is there counts as used now."""
    path = default_cache_root() / "results" / f"{key}{suffix}"
    with suppress(OSError):  # not there, or a cache that only others may write
        os.utime(path)
    return path


def load_result(key: str) -> dict[str, NDArray[Any]] | None:
    """Return the arrays kept under a key, or None."""
    try:
        with np.load(result_file(key)) as arrays:
            return dict(arrays)
    except Exception:  # what a damaged file leads to depends on where it is damaged
        return None


def keep_result(key: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Keep arrays under a key, and remove what was not used for long where there is too much.

    Raises
    ------
    OSError
        When the folder cannot be written; the message names it and ``ERI_CACHE``.
    """
    path = result_file(key)
    try:
        with replacing_file(path) as beside, beside.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
    except OSError as error:
        raise OSError(
            error.errno,
            f"the results' cache {path.parent} cannot be written ({error.strerror}): make room or "
            "give write access, or set ERI_CACHE to another folder",
        ) from error
    prune_results()


def prune_results(max_bytes: int = MAX_BYTES) -> None:
    """Remove the least recently used results, until the others take no more than `max_bytes`.

    What was used within the last hour stays: another process may be about to read it.
    """
    files = _files()
    n_bytes = sum(size for _, size, _ in files)
    for used_s, size, path in files:
        if n_bytes <= max_bytes or time.time() - used_s < _IN_USE_S:
            break
        with suppress(OSError):
            path.unlink()
        n_bytes -= size


def remove_unused_results(for_days: float) -> tuple[int, int]:
    """Remove all results that were not used for so long.

    Returns
    -------
    n_files, n_bytes : int
        What was removed.

    Raises
    ------
    OSError
        When a file cannot be removed.
    """
    last_s = time.time() - 86400 * for_days
    unused = [(size, path) for used_s, size, path in _files() if used_s <= last_s]
    for _, path in unused:
        path.unlink(missing_ok=True)
    return len(unused), sum(size for size, _ in unused)


def _files() -> list[tuple[float, int, Path]]:
    """List when each file was last used, its size and its path; the least recent first."""
    folder, files = default_cache_root() / "results", []
    for path in folder.iterdir() if folder.is_dir() else ():
        with suppress(OSError):  # another process removed it
            stat = path.stat()
            files.append((stat.st_mtime, stat.st_size, path))
    return sorted(files)
