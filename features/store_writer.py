"""Writing what `features.store` reads: feature stores, tables of clip vectors, failure tables."""

import fcntl
import json
import os
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.arrow import embedding_array
from features.store import CLIPS_KEY, METADATA_KEY, StoredClip, StoreError, gather

_SHARD_BYTES = 32 * 2**20
_MOST_THREADS = 4  # each writes a shard, and takes some 150 MiB for it
_ROW_GROUP_BYTES = 8 * 2**20
_ROW_GROUP_ROWS = 16_384  # beyond 20,000 rows a page ends, and `plain_pages` wants a single one


def write_store(folder: Path, clips: Iterable[StoredClip], metadata: Mapping[str, Any]) -> None:
    """Write a store, replacing the one that is there when all of it is written.

    Another process that writes the same store meanwhile waits, and then replaces it.

    Parameters
    ----------
    folder : Path
        The store's folder.
    clips : iterable of StoredClip
        In the order wanted; drawn as shards of them are written.
    metadata : mapping
        JSON-serialisable.

    Raises
    ------
    StoreError
        When the folder holds something else; see `check_replaceable`.
    OSError
        When it cannot be written; an old store is left as it was.
    """
    beside = folder.with_name(f".{folder.name}.part")
    try:
        with _sole_writer(folder):
            _put_back(folder)  # in case a run was killed
            check_replaceable(folder)
            try:
                shutil.rmtree(beside, ignore_errors=True)
                beside.mkdir()
                _write_shards(beside, clips, metadata)
                _replace_folder(folder, beside)
            finally:
                shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise OSError(
            error.errno, f"the feature store {folder} cannot be written: {error.strerror or error}"
        ) from error


def check_replaceable(folder: Path) -> None:
    """Make sure that nothing but an old store would be overwritten.

    Raises
    ------
    StoreError
        When `folder` is a file or holds anything but shards.
    """
    if not folder.exists():
        return
    strange = [folder] if folder.is_file() else [p for p in folder.iterdir() if not _is_shard(p)]
    if strange:
        raise StoreError(
            f"{folder} is not a feature store (it holds {strange[0].name}) and is not overwritten: "
            "choose another folder to write to"
        )


def write_clip_vectors(
    path: Path,
    clip_id: NDArray[np.object_],
    vectors: NDArray[np.floating],
    metadata: Mapping[str, Any],
    face_share: NDArray[np.float64] | None = None,
) -> None:
    """Write one vector per clip (n_clips, dimension) to one Parquet file."""
    columns = {"clip_id": pa.array(clip_id, pa.string())}
    if face_share is not None:
        columns["face_share"] = pa.array(face_share)
    table = pa.table(columns).append_column(_embedding_field(vectors), embedding_array(vectors))
    _write_parquet(table.replace_schema_metadata({METADATA_KEY: _json(metadata)}), path)


def write_failures(path: Path, failures: pd.DataFrame) -> None:
    """Write a failure table: ``clip_id``, ``step``, ``reason``, all text."""
    schema = pa.schema([(name, pa.string()) for name in ("clip_id", "step", "reason")])
    _write_parquet(pa.Table.from_pandas(failures, schema=schema, preserve_index=False), path)


def _is_shard(path: Path) -> bool:
    return path.is_file() and path.match("part-*.parquet")


def _write_shards(folder: Path, clips: Iterable[StoredClip], metadata: Mapping[str, Any]) -> None:
    """Write shards side by side: Arrow uses one processor for each."""
    n_threads = min(joblib.cpu_count(), _MOST_THREADS)
    with ThreadPoolExecutor(n_threads) as pool:
        writing: deque[Future[None]] = deque()
        for index, shard in enumerate(_by_bytes(clips)):
            if len(writing) == n_threads:  # no more of them in memory
                writing.popleft().result()
            path = folder / f"part-{index:05d}.parquet"
            writing.append(pool.submit(_write_shard, path, shard, metadata))
        for each in writing:
            each.result()


def _write_shard(path: Path, clips: list[StoredClip], metadata: Mapping[str, Any]) -> None:
    digests = " ".join(clip.sha256 for clip in clips)
    _write_parquet(_table(clips, metadata), path, {CLIPS_KEY: digests.encode()})


def _by_bytes(clips: Iterable[StoredClip]) -> Iterator[list[StoredClip]]:
    shard: list[StoredClip] = []
    n_bytes = 0
    for clip in clips:
        shard.append(clip)
        n_bytes += clip.embedding.values.nbytes
        if n_bytes >= _SHARD_BYTES:
            yield shard
            shard, n_bytes = [], 0
    if shard:
        yield shard


def _table(clips: list[StoredClip], metadata: Mapping[str, Any]) -> pa.Table:
    store = gather(clips, metadata)
    columns = {"clip_id": store.clip_id, "time_s": store.time_s}
    if store.face_share is not None:
        columns["face_share"] = store.face_share
    table = pa.table(columns)
    table = table.append_column(_embedding_field(store.embedding), embedding_array(store.embedding))
    return table.replace_schema_metadata({METADATA_KEY: _json(store.metadata)})


def _embedding_field(matrix: NDArray[np.floating]) -> pa.Field:
    return pa.field("embedding", embedding_array(matrix[:0]).type, nullable=False)


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True).encode()


def _write_parquet(
    table: pa.Table, path: Path, metadata: Mapping[bytes, bytes] | None = None
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    row_bytes = max(table.nbytes // max(len(table), 1), 1)
    n_rows = min(max(_ROW_GROUP_BYTES // row_bytes, 1), _ROW_GROUP_ROWS)
    with pq.ParquetWriter(
        beside,
        table.schema,
        use_dictionary=False,  # embeddings do not repeat, and do not compress
        compression="none",
        write_statistics=["clip_id", "time_s"],  # those of embeddings say nothing, and take time
        data_page_size=2**30,  # one page per row group: see `plain_pages`
        write_batch_size=n_rows,
    ) as writer:
        writer.write_table(table, n_rows)
        writer.add_key_value_metadata(metadata or {})
    beside.replace(path)


@contextmanager
def _sole_writer(folder: Path) -> Iterator[None]:
    """Wait until no other process writes a store; leaves no file behind."""
    lock = folder.with_name(f".{folder.name}.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with lock.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not _is_still(file, lock):  # the writer that was waited for removed it
                continue
            try:
                yield
            finally:
                lock.unlink()
            return


def _is_still(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _replace_folder(folder: Path, beside: Path) -> None:
    """Put `beside` in the place of `folder`, or leave `folder` as it was."""
    old = folder.with_name(f".{folder.name}.old")
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        folder.replace(old)
    try:
        beside.replace(folder)
    except OSError:
        _put_back(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _put_back(folder: Path) -> None:
    """Bring an old store back that was moved away, for a new one that did not come."""
    old = folder.with_name(f".{folder.name}.old")
    if old.exists() and not folder.exists():
        old.replace(folder)
