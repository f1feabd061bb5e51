"""Results kept on disk under a digest of all that they depend on."""

import hashlib
import io
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.cache import default_cache_root

Arrays = dict[str, NDArray[Any]]

MAX_BYTES = 8 * 2**30
"""Beyond this size the least recently used files are removed."""

_IN_USE_S = 3600.0
_N_DIGEST_BYTES = 32


def default_result_folder() -> Path:
    """Return the folder ``results`` beside the cached embeddings."""
    return default_cache_root() / "results"


class ResultCache:
    """Arrays by digest, one file each; any number of processes may share a folder.

    A file is written beside its place, then renamed: it is there as a whole or not at all. One
    that does not match its checksum counts as not there.

    Parameters
    ----------
    folder : Path
        Made when something is first kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def has(self, key: str) -> bool:
        """Tell whether something is kept under a key, be it damaged; it counts as used."""
        path = self._path(key)
        with suppress(OSError):  # a cache that only others may write
            os.utime(path)
        return path.exists()

    def get(self, key: str) -> Arrays | None:
        """Return what is kept under a key, or None."""
        if not self.has(key):
            return None
        try:
            content = self._path(key).read_bytes()
        except OSError:
            return None
        checksum, payload = content[:_N_DIGEST_BYTES], content[_N_DIGEST_BYTES:]
        if hashlib.sha256(payload).digest() != checksum:
            return None
        with np.load(io.BytesIO(payload)) as arrays:
            return dict(arrays)

    def put(self, key: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keep arrays under a key.

        Raises
        ------
        OSError
            When the folder cannot be written; the message names it and ``ERI_CACHE``.
        """
        payload = io.BytesIO()
        np.savez(payload, allow_pickle=False, **arrays)
        content = payload.getvalue()
        path = self._path(key)
        beside = path.with_name(f".{os.getpid()}-{path.name}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(hashlib.sha256(content).digest() + content)
            beside.replace(path)
        except OSError as error:
            raise OSError(
                error.errno,
                f"the results' cache {self.folder} cannot be written ({error.strerror}): make room "
                "or give write access, or set ERI_CACHE to another folder",
            ) from error

    def prune(self, max_bytes: int = MAX_BYTES) -> None:
        """Remove the least recently used files, until the others take no more than `max_bytes`.

        What was used within the last hour stays: another process may be about to read it.
        """
        files = self._files()
        n_bytes = sum(size for _, size, _ in files)
        for used_s, size, path in files:
            if n_bytes <= max_bytes or time.time() - used_s < _IN_USE_S:
                break
            with suppress(OSError):
                path.unlink()
            n_bytes -= size

    def remove_unused(self, for_days: float) -> tuple[int, int]:
        """Remove all files that were not used for so long: predictions and vectors of clips.

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
        unused = [(size, path) for used_s, size, path in self._files() if used_s <= last_s]
        for _, path in unused:
            path.unlink(missing_ok=True)
        return len(unused), sum(size for size, _ in unused)

    def _files(self) -> list[tuple[float, int, Path]]:
        """List when each file was last used, its size and its path; the least recent first."""
        files = []
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            with suppress(OSError):  # another process removed it
                stat = path.stat()
                files.append((stat.st_mtime, stat.st_size, path))
        return sorted(files)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.npz"
