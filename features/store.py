"""Feature stores: one encoder's embeddings as plain Parquet that any reader opens.

A store is a folder of shards ``part-00000.parquet`` with the columns ``clip_id``, ``time_s`` and
``embedding`` (non-null fixed-size list), in the order of the clip table and then of time; encoders
that crop to faces add ``face_share``. What made the numbers is in the files' metadata under the key
``eri``, as JSON; the digests of a shard's clips under ``eri.clips``, one after the other. Beside
the folder lies ``<name>.failures.parquet`` with ``clip_id``, ``step`` and ``reason``: every clip is
in one or the other. Equal content gives equal bytes.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.arrow import embedding_array
from features.plain_pages import read_matrix_into
from features.segments import Embedding

_SHARD_BYTES = 256 * 2**20
_ROW_GROUP_BYTES = 16 * 2**20
_ROW_GROUP_ROWS = 16_384  # beyond 20,000 rows a page ends, and `plain_pages` wants a single one
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

    def clip_starts(self) -> NDArray[np.intp]:
        """Return the first row of every clip; rows of one clip lie together."""
        change = self.clip_id[1:] != self.clip_id[:-1]
        return np.flatnonzero(np.r_[True, change][: len(self.clip_id)])

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

    Shards are read into their place in one matrix, so memory peaks little above the result.

    Raises
    ------
    StoreError
        When there is no store at `path`, or it is damaged.
    """
    path = Path(path)
    try:
        return _read_shards(shards_of(path))
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
    for shard in shards_of(path):
        store = read_store(shard)
        content = (pq.read_metadata(shard).metadata or {}).get(_CLIPS_KEY, b"").decode()
        clips = _clips_of(store, content.split()) if store.time_s is not None else []
        if not clips:
            raise StoreError(f"{shard} does not say which bytes its clips have: extract them anew")
        yield store.metadata, clips


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
            digests = " ".join(clip.sha256 for clip in shard)
            path = beside / f"part-{index:05d}.parquet"
            _write_parquet(_table(shard, metadata), path, {_CLIPS_KEY: digests.encode()})
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


def shards_of(path: Path) -> list[Path]:
    """Return the files of a store in their order; raises StoreError where there is none."""
    shards = sorted(path.glob("part-*.parquet")) if path.is_dir() else [path]
    if not shards or not shards[0].exists():
        raise StoreError(f"there is no feature store at {path}: run `dvc repro`, or `dvc pull`")
    return shards


def _read_shards(paths: list[Path]) -> FeatureStore:
    files = [pq.ParquetFile(path, read_dictionary=["clip_id"]) for path in paths]
    schema = files[0].schema_arrow
    item = schema.field("embedding").type
    n_rows = sum(file.metadata.num_rows for file in files)
    embedding = np.empty((n_rows, item.list_size), item.value_type.to_pandas_dtype())
    first = 0
    for path, file in zip(paths, files, strict=True):
        end = first + file.metadata.num_rows
        read_matrix_into(embedding[first:end], path, file, "embedding")
        first = end
    others = [name for name in schema.names if name in ("clip_id", "time_s", "face_share")]
    table = pa.concat_tables(file.read(others) for file in files)
    columns = {name: table[name].to_numpy() for name in others}
    return FeatureStore(
        columns["clip_id"],
        columns.get("time_s"),
        embedding,
        store_metadata(schema),
        columns.get("face_share"),
    )


def _clips_of(store: FeatureStore, digests: list[str]) -> list[StoredClip]:
    """Take a shard apart; gives nothing when it has other clips than digests."""
    assert store.time_s is not None  # the caller checked
    starts = store.clip_starts()
    if len(starts) != len(digests):
        return []
    clips = []
    for a, b, digest in zip(starts, [*starts[1:], len(store.clip_id)], digests, strict=True):
        share = None if store.face_share is None else float(store.face_share[a])
        embedding = Embedding(store.time_s[a:b], store.embedding[a:b], share)
        clips.append(StoredClip(store.clip_id[a], digest, embedding))
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
    return table.replace_schema_metadata({_METADATA_KEY: _json(metadata)})


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


def _replace_folder(folder: Path, beside: Path) -> None:
    """Put `beside` in the place of `folder`; a kill in between leaves one or the other."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.replace(old)
    beside.replace(folder)
    shutil.rmtree(old, ignore_errors=True)
