"""Embeddings on disk, found again by what they are: shared between runs and checkouts.

One folder per encoder identity, one immutable file per flush. A file's name is the digest of its
bytes: two runs can write side by side without a lock, nothing half-written is ever visible, and
damage is found on opening. Files are Arrow IPC, so clips are read by memory mapping, one at a time.
"""

import hashlib
import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.arrow import embedding_array, embedding_matrix

_FLUSH_BYTES = 64 * 2**20
_FLUSH_S = 5.0


class Embedding(NamedTuple):
    """One clip under one encoder.

    Attributes
    ----------
    time_s : ndarray of float64, shape (n_rows,)
        Of each frame, or the middle of each window.
    values : ndarray of float16 or float32, shape (n_rows, dimension)
        One row per frame or window.
    """

    time_s: NDArray[np.float64]
    values: NDArray[np.floating]


def default_cache_root() -> Path:
    """Return ``$ERI_CACHE``, or ``.eri-cache`` in the working folder."""
    return Path(os.environ.get("ERI_CACHE") or ".eri-cache")


class EmbeddingCache:
    """The cached embeddings of one encoder identity.

    Parameters
    ----------
    root : Path
        The cache's folder, for all encoders.
    identity : str
        As `features.identity.encoder_identity` gives it.

    Raises
    ------
    OSError
        When the folder cannot be made or written; the message names it and ``ERI_CACHE``.
    """

    def __init__(self, root: Path, identity: str) -> None:
        self._folder = root / identity
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(self._folder, error) from error
        self._shards: list[pa.Table] = []
        self._index: dict[str, tuple[int, int, int]] = {}  # clip -> shard, first row, rows
        self._pending: dict[str, Embedding] = {}
        self._pending_bytes = 0
        self._flushed_s = time.monotonic()
        for path in sorted(self._folder.glob("*.arrow")):
            self._open_shard(path)

    def __contains__(self, clip_sha256: str) -> bool:
        return clip_sha256 in self._index or clip_sha256 in self._pending

    def __len__(self) -> int:
        return len(self._index) + len(self._pending)

    def get(self, clip_sha256: str) -> Embedding:
        """Return one clip's embedding; raises KeyError when it is not cached."""
        if clip_sha256 in self._pending:
            return self._pending[clip_sha256]
        shard, first, n_rows = self._index[clip_sha256]
        rows = self._shards[shard].slice(first, n_rows)
        return Embedding(rows["time_s"].to_numpy(), embedding_matrix(rows["embedding"]))

    def put(self, clip_sha256: str, embedding: Embedding) -> None:
        """Keep one clip's embedding; it reaches the disk within seconds of further calls."""
        self._pending[clip_sha256] = embedding
        self._pending_bytes += embedding.values.nbytes
        waited_s = time.monotonic() - self._flushed_s
        if self._pending_bytes >= _FLUSH_BYTES or waited_s >= _FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """Write what is pending as one new shard.

        Raises
        ------
        OSError
            When it cannot be written; what was pending stays pending.
        """
        self._flushed_s = time.monotonic()
        if not self._pending:
            return
        content = _serialise(self._pending)
        name = hashlib.sha256(content).hexdigest()
        path = self._folder / f"{name}.arrow"
        beside = self._folder / f".{name}.{os.getpid()}.part"
        try:
            beside.write_bytes(content)
            beside.replace(path)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise _unwritable(self._folder, error) from error
        self._pending, self._pending_bytes = {}, 0
        self._open_shard(path)

    def _open_shard(self, path: Path) -> None:
        content = pa.memory_map(str(path)).read_buffer()
        if hashlib.sha256(content).hexdigest() != path.stem:
            warnings.warn(
                f"the cache shard {path} is damaged: its clips are computed again. Delete it.",
                stacklevel=2,
            )
            return
        table = pa.ipc.open_file(content).read_all()
        for clip, first, n_rows in _runs(table["clip_sha256"].to_numpy()):
            self._index[clip] = (len(self._shards), first, n_rows)
        self._shards.append(table)


def _serialise(pending: dict[str, Embedding]) -> memoryview:
    n_rows = [len(each.time_s) for each in pending.values()]
    table = pa.table(
        {
            "clip_sha256": np.repeat(np.array(list(pending), object), n_rows),
            "time_s": np.concatenate([each.time_s for each in pending.values()]),
            "embedding": embedding_array(np.concatenate([e.values for e in pending.values()])),
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return memoryview(sink.getvalue())


def _runs(clips: NDArray[np.object_]) -> Iterator[tuple[str, int, int]]:
    """Each clip's rows lie together: yield the clip, its first row and its number of rows."""
    if len(clips) == 0:
        return
    starts = np.flatnonzero(np.r_[True, clips[1:] != clips[:-1]])
    for first, end in zip(starts, [*starts[1:], len(clips)], strict=True):
        yield str(clips[first]), int(first), int(end - first)


def _unwritable(folder: Path, error: OSError) -> OSError:
    return OSError(
        error.errno,
        f"the embedding cache {folder} cannot be written ({error.strerror}): make room or give "
        "write access, or set ERI_CACHE to another folder",
    )
