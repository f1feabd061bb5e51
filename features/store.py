"""Feature stores: one encoder's embeddings as plain Parquet that any reader opens.

A store is a folder of shards ``part-00000.parquet`` with the columns ``clip_id``, ``time_s`` and
``embedding`` (non-null fixed-size list), in the order of the clip table and then of time; encoders
that crop to faces add ``face_share``. What made the numbers is in the files' metadata under the key
``eri``, as JSON; the digests of a shard's clips under ``eri.clips``. Beside the folder lies
``<name>.failures.parquet`` with ``clip_id``, ``step`` and ``reason``: every clip is in one or the
other. Equal content gives equal bytes.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.arrow import embedding_array, embedding_matrix
from features.segments import Embedding

_SHARD_BYTES = 256 * 2**20
_ROW_GROUP_BYTES = 16 * 2**20  # read by threads, each a group at a time
_METADATA_KEY = b"eri"
_CLIPS_KEY = b"eri.clips"


class StoreError(Exception):
    """A feature store that is missing or is not what it should be."""


@dataclass(frozen=True)
class FeatureStore:
    """A store, or a table of clip vectors, in memory.

    Attributes
    ----------
    clip_id : ndarray of str objects, shape (n_rows,)
        Which clip each row belongs to.
    time_s : ndarray of float64, shape (n_rows,), or None
        When, in clip time; None for clip vectors, which have one row per clip.
    embedding : ndarray of float16 or float32, shape (n_rows, dimension)
        The numbers.
    metadata : dict
        Spec, weights digest, identity and versions.
    face_share : ndarray of float64, shape (n_rows,), or None
        Share of the clip's frames with a face; None for encoders that do not crop to faces.
    """

    clip_id: NDArray[np.object_]
    time_s: NDArray[np.float64] | None
    embedding: NDArray[np.floating]
    metadata: dict[str, Any]
    face_share: NDArray[np.float64] | None = None

    def to_pandas(self) -> pd.DataFrame:
        """Return a table with one column per dimension, indexed by clip (and time)."""
        index: pd.Index = pd.Index(self.clip_id, name="clip_id")
        if self.time_s is not None:
            index = pd.MultiIndex.from_arrays(
                [self.clip_id, self.time_s], names=["clip_id", "time_s"]
            )
        return pd.DataFrame(self.embedding, index=index)


class StoredClip(NamedTuple):
    """A clip on its way into a store: its id, the digest of its bytes, and its embedding."""

    clip_id: str
    sha256: str
    embedding: Embedding


def read_store(path: Path | str) -> FeatureStore:
    """Read a feature store's folder, or one file of clip vectors, in one call.

    Each row group is read by a thread into its place in one matrix, so memory peaks little above
    the result.

    Raises
    ------
    StoreError
        When there is no store at `path`, or it is damaged.
    """
    path = Path(path)
    try:
        files = [pq.ParquetFile(file, read_dictionary=["clip_id"]) for file in _shards(path)]
        return _read_files(files)
    except (pa.ArrowException, KeyError, AttributeError, OSError) as error:
        raise StoreError(
            f"{path} is not a feature store, or it is damaged: expected Parquet with the columns "
            f"clip_id and embedding (fixed-size list); {error}. Write it again with `dvc repro` or "
            "`eri extract`"
        ) from error


def store_metadata(schema: pa.Schema) -> dict[str, Any]:
    """Return what a store's file says of what made it; empty when it says nothing."""
    metadata: dict[str, Any] = json.loads((schema.metadata or {}).get(_METADATA_KEY, b"{}"))
    return metadata


def stored_clips(path: Path) -> Iterator[tuple[dict[str, Any], list[StoredClip]]]:
    """Yield the shards of a store, each with its metadata and its clips.

    Raises
    ------
    StoreError
        As `read_store`; also for a store without the digests of its clips.
    """
    for shard in _shards(path):
        store = read_store(shard)
        digests = json.loads((pq.read_schema(shard).metadata or {}).get(_CLIPS_KEY, b"{}"))
        if store.time_s is None or not set(store.clip_id) <= set(digests):
            raise StoreError(f"{shard} does not say which bytes its clips have: extract them anew")
        yield store.metadata, _clips_of(store, digests)


def gather(clips: Iterable[StoredClip], metadata: Mapping[str, Any]) -> FeatureStore:
    """Make a store in memory; at least one clip is needed."""
    taken = list(clips)
    shares = _face_shares(taken)
    return FeatureStore(
        clip_id=np.repeat(np.array([clip.clip_id for clip in taken], object), _n_rows(taken)),
        time_s=np.concatenate([clip.embedding.time_s for clip in taken]),
        embedding=np.concatenate([clip.embedding.values for clip in taken]),
        metadata=dict(metadata),
        face_share=None if shares is None else np.array(shares, np.float64),
    )


def write_store(folder: Path, clips: Iterable[StoredClip], metadata: Mapping[str, Any]) -> None:
    """Write a store, replacing the one that is there when all of it is written.

    Parameters
    ----------
    folder : Path
        The store's folder.
    clips : iterable of StoredClip
        In the order wanted; drawn one at a time.
    metadata : mapping
        JSON-serialisable.

    Raises
    ------
    StoreError
        When the folder holds something else; see `check_replaceable`.
    OSError
        When it cannot be written; an old store is left as it was.
    """
    check_replaceable(folder)
    beside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir(parents=True)
        for index, shard in enumerate(_by_bytes(clips)):
            _write_parquet(_table(shard, metadata), beside / f"part-{index:05d}.parquet")
        _replace_folder(folder, beside)
    except OSError as error:
        raise OSError(
            error.errno, f"the feature store {folder} cannot be written: {error.strerror or error}"
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


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
    _write_parquet(table.replace_schema_metadata({_METADATA_KEY: _json(metadata)}), path)


def write_failures(path: Path, failures: pd.DataFrame) -> None:
    """Write a failure table: ``clip_id``, ``step``, ``reason``, all text."""
    schema = pa.schema([(name, pa.string()) for name in ("clip_id", "step", "reason")])
    _write_parquet(pa.Table.from_pandas(failures, schema=schema, preserve_index=False), path)


def _is_shard(path: Path) -> bool:
    return path.is_file() and path.match("part-*.parquet")


def _shards(path: Path) -> list[Path]:
    shards = sorted(path.glob("part-*.parquet")) if path.is_dir() else [path]
    if not shards or not shards[0].exists():
        raise StoreError(f"there is no feature store at {path}: run `dvc repro`, or `dvc pull`")
    return shards


def _read_files(files: list[pq.ParquetFile]) -> FeatureStore:
    schema = files[0].schema_arrow
    item = schema.field("embedding").type
    n_rows = sum(file.metadata.num_rows for file in files)
    embedding = np.empty((n_rows, item.list_size), item.value_type.to_pandas_dtype())
    clip_id = np.empty(n_rows, object)
    numbers = {
        name: np.empty(n_rows, np.float64)
        for name in ("time_s", "face_share")
        if name in schema.names
    }

    def read_group(file: pq.ParquetFile, group: int, first: int) -> None:
        table = file.read_row_group(group, use_threads=False)
        rows = slice(first, first + len(table))
        embedding[rows] = embedding_matrix(table["embedding"])
        clip_id[rows] = table["clip_id"].to_numpy()
        for name, column in numbers.items():
            column[rows] = table[name].to_numpy()

    with ThreadPoolExecutor() as threads:
        running, first = [], 0
        for file in files:
            for group in range(file.num_row_groups):
                running.append(threads.submit(read_group, file, group, first))
                first += file.metadata.row_group(group).num_rows
        for each in running:
            each.result()
    return FeatureStore(
        clip_id,
        numbers.get("time_s"),
        embedding,
        store_metadata(schema),
        numbers.get("face_share"),
    )


def _clips_of(store: FeatureStore, digests: Mapping[str, str]) -> list[StoredClip]:
    assert store.time_s is not None  # the caller checked
    starts = np.flatnonzero(np.r_[True, store.clip_id[1:] != store.clip_id[:-1]])
    clips = []
    for a, b in zip(starts, [*starts[1:], len(store.clip_id)], strict=True):
        share = None if store.face_share is None else float(store.face_share[a])
        embedding = Embedding(store.time_s[a:b], store.embedding[a:b], share)
        clips.append(StoredClip(store.clip_id[a], digests[store.clip_id[a]], embedding))
    return clips


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
    values = np.concatenate([clip.embedding.values for clip in clips])
    columns = {
        "clip_id": np.repeat(np.array([clip.clip_id for clip in clips], object), _n_rows(clips)),
        "time_s": np.concatenate([clip.embedding.time_s for clip in clips]),
    }
    shares = _face_shares(clips)
    if shares is not None:
        columns["face_share"] = np.array(shares, np.float64)
    table = pa.table(columns).append_column(_embedding_field(values), embedding_array(values))
    digests = {clip.clip_id: clip.sha256 for clip in clips}
    return table.replace_schema_metadata(
        {_METADATA_KEY: _json(metadata), _CLIPS_KEY: _json(digests)}
    )


def _n_rows(clips: list[StoredClip]) -> list[int]:
    return [len(clip.embedding.time_s) for clip in clips]


def _face_shares(clips: list[StoredClip]) -> list[float] | None:
    """Return the share of each row's clip, or None for an encoder without face cropping."""
    shares = [clip.embedding.face_share for clip in clips]
    known = [share for share in shares if share is not None]
    return list(np.repeat(known, _n_rows(clips))) if len(known) == len(clips) else None


def _embedding_field(matrix: NDArray[np.floating]) -> pa.Field:
    return pa.field("embedding", embedding_array(matrix[:0]).type, nullable=False)


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True).encode()


def _write_parquet(table: pa.Table, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    n_rows = max(_ROW_GROUP_BYTES // max(table.nbytes // max(len(table), 1), 1), 1)
    # Embeddings do not compress, and a dictionary of them would only cost time.
    pq.write_table(table, beside, n_rows, use_dictionary=False, compression="none")
    beside.replace(path)


def _replace_folder(folder: Path, beside: Path) -> None:
    """Put `beside` in the place of `folder`; a kill in between leaves one or the other."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.replace(old)
    beside.replace(folder)
    shutil.rmtree(old, ignore_errors=True)
