"""The files of the embedding cache: appended to clip by clip, each record with its digest.

A segment is an Arrow IPC stream, one row per clip, that any Arrow reader opens. Every append is one
record batch, so a process that is killed loses at most the record that it was writing, and one run
writes few files. The digest in each row is checked before the row is used.
"""

import hashlib
import os
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.arrow import embedding_array, embedding_rows

SEGMENT_BYTES = 64 * 2**20
"""A segment that has grown to this size is not appended to."""

_SYNC_S = 5.0


class Embedding(NamedTuple):
    """One clip under one encoder.

    Attributes
    ----------
    time_s : ndarray of float64, shape (n_rows,)
        Of each frame, or the middle of each window.
    values : ndarray of float16 or float32, shape (n_rows, dimension)
        One row per frame or window.
    face_share : float or None
        Share of the clip's frames with a face; None for encoders that do not crop to faces.
    """

    time_s: NDArray[np.float64]
    values: NDArray[np.floating]
    face_share: float | None = None


class Place(NamedTuple):
    """Where a clip's record lies: the bytes of its batch in a segment, and the row in the batch."""

    path: Path
    start: int
    end: int
    row: int


@dataclass(frozen=True)
class Scan:
    """What a segment holds.

    Attributes
    ----------
    places : list of (str, Place)
        Clip digests in the order of writing.
    n_lost_bytes : int
        Bytes at the end that are no whole record: of a run that was killed while writing, or
        damaged.
    """

    places: list[tuple[str, Place]]
    n_lost_bytes: int


def scan_segment(path: Path) -> Scan:
    """List the records of a segment, without checking their digests."""
    places: list[tuple[str, Place]] = []
    if path.stat().st_size == 0:
        return Scan(places, 0)
    content = _mapped(path)
    reader = pa.BufferReader(content)
    end = 0
    try:
        schema = pa.ipc.read_schema(reader)
        while (end := reader.tell()) < content.size:
            batch = pa.ipc.read_record_batch(pa.ipc.read_message(reader), schema)
            batch.validate(full=True)  # damaged offsets would lead outside of the file
            for row, clip in enumerate(batch["clip_sha256"].to_pylist()):
                places.append((clip, Place(path, end, reader.tell(), row)))
    except Exception:  # damaged bytes can fail in any way
        return Scan(places, content.size - end)
    return Scan(places, 0)


def read_record(place: Place, *, check: bool = True) -> Embedding | None:
    """Read a clip's embedding; None when it is damaged. What was checked needs no second look."""
    try:
        content = _mapped(place.path, place.end)
        schema = pa.ipc.read_schema(content)
        record = content.slice(place.start, place.end - place.start)
        batch = pa.ipc.read_record_batch(record, schema)
        column = {name: batch.column(name) for name in schema.names}
        times = column["time_s"]
        start, end = times.offsets[place.row].as_py(), times.offsets[place.row + 1].as_py()
        embedding = Embedding(
            times.values.to_numpy()[start:end],
            embedding_rows(column["embedding"].values)[start:end],
            column["face_share"][place.row].as_py(),
        )
        if check:
            clip, digest = (column[name][place.row].as_py() for name in ("clip_sha256", "digest"))
            return embedding if _digest(clip, embedding) == digest else None
        return embedding
    except Exception:  # damaged bytes can fail in any way
        return None


class SegmentWriter:
    """Appends embeddings to a segment of its own, and begins the next when it is full.

    Parameters
    ----------
    folder : Path
        Where segments are made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path: Path | None = None
        self._size = 0
        self._synced_s = time.monotonic()

    def append(self, embeddings: Mapping[str, Embedding]) -> list[tuple[str, Place]]:
        """Write embeddings by clip digest; they survive this process from then on.

        Raises
        ------
        OSError
            When they cannot be written; the segment is left as it was before.
        """
        batch = _batch(embeddings)
        if self._path is None or self._size >= SEGMENT_BYTES:
            name = f"{time.time_ns():x}-{uuid.uuid4().hex[:8]}.arrows"
            self._path, self._size = self._folder / name, 0
        head = b"" if self._size else batch.schema.serialize().to_pybytes()
        start = self._size + len(head)
        content = head + batch.serialize().to_pybytes()
        self._write(self._path, content)
        self._size += len(content)
        return [
            (clip, Place(self._path, start, self._size, row)) for row, clip in enumerate(embeddings)
        ]

    def _write(self, path: Path, content: bytes) -> None:
        with path.open("ab", buffering=0) as file:
            try:
                rest = memoryview(content)
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError:
                file.truncate(self._size)
                raise
            if time.monotonic() - self._synced_s >= _SYNC_S:  # against power cuts: costs a flush
                os.fsync(file.fileno())
                self._synced_s = time.monotonic()


def _batch(embeddings: Mapping[str, Embedding]) -> pa.RecordBatch:
    all_of = list(embeddings.values())
    offsets = np.cumsum([0, *(len(each.time_s) for each in all_of)]).astype(np.int32)
    values = embedding_array(np.concatenate([each.values for each in all_of]))
    times = pa.array(np.concatenate([each.time_s for each in all_of]), pa.float64())
    columns = {
        "clip_sha256": pa.array(list(embeddings), pa.string()),
        "time_s": pa.ListArray.from_arrays(offsets, times),
        "embedding": pa.ListArray.from_arrays(offsets, values),
        "face_share": pa.array([each.face_share for each in all_of], pa.float64()),
        "digest": pa.array([_digest(*each) for each in embeddings.items()], pa.binary()),
    }
    return pa.record_batch(columns)


def _digest(clip: str, embedding: Embedding) -> bytes:
    values = np.ascontiguousarray(embedding.values)
    head = f"{clip} {values.dtype} {values.shape} {embedding.face_share!r}"
    digest = hashlib.sha256(head.encode())
    digest.update(np.ascontiguousarray(embedding.time_s).tobytes())
    digest.update(values.data)
    return digest.digest()


@lru_cache(maxsize=256)
def _mapping(path: Path, size: int) -> pa.Buffer:
    return pa.memory_map(str(path)).read_buffer(size)


def _mapped(path: Path, at_least: int = 0) -> pa.Buffer:
    """Return a segment's bytes, mapped anew when it has grown."""
    size = path.stat().st_size
    if size < at_least:
        raise EOFError(f"{path} holds {size} bytes, fewer than were written to it")
    return _mapping(path, size)
