"""Feature stores: one encoder's embeddings as plain Parquet that any reader opens.

A store is a folder of shards ``part-00000.parquet`` with the columns ``clip_id``, ``time_s`` and
``embedding`` (non-null fixed-size list), in the order of the clip table and then of time; encoders
that crop to faces add ``face_share``; where all faces count, each has a row of its own, with a
``track`` and a ``face_score``. A clip lies in one shard. What made the numbers is in the
files' metadata under the key ``eri``, as JSON; the digests of a shard's clips under ``eri.clips``,
one after the other. Beside the folder lies ``<name>.failures.parquet`` with ``clip_id``, ``step``
and ``reason``: every clip is in one or the other. Equal content gives equal bytes.

Clip vectors are one file of the same kind, with one row per clip and without ``time_s``.
"""

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.cache import Embedding
from features.files import explaining, replacing_file, replacing_folder

METADATA_KEY = b"eri"
CLIPS_KEY = b"eri.clips"
OPTIONAL_COLUMNS = {"time_s": "f8", "face_share": "f8", "track": "i4", "face_score": "f4"}
"""Columns that not all stores have, and their types."""

_ADVICE = "make room or give write access, or choose another folder"
_SHARD = "part-{:05d}.parquet"
_SHARD_BYTES = 32 * 2**20
_ROW_GROUP_BYTES = 8 * 2**20


class StoreError(Exception):
    """A feature store that is missing or is not what it should be."""


class StoredClip(NamedTuple):
    """A clip on its way into a store: its id, the digest of its bytes, and its embedding."""

    clip_id: str
    sha256: str
    embedding: Embedding


@dataclass(frozen=True, repr=False, eq=False)
class FeatureStore:
    """A store, a shard of one, or a table of clip vectors, in memory.

    Attributes
    ----------
    clip_id : ndarray of str objects, shape (n_rows,)
        Which clip each row belongs to; rows of one clip lie together.
    time_s : ndarray of float64, shape (n_rows,), or None
        When, in clip time; None for clip vectors, which have one row per clip.
    embedding : ndarray of float16 or float32, shape (n_rows, dimension)
        The numbers.
    metadata : dict
        Spec, weights digest, identity and versions.
    face_share : ndarray of float64, shape (n_rows,), or None
        Share of the clip's frames with a face; None for encoders that do not crop to faces.
    track : ndarray of int32, shape (n_rows,), or None
        Whose face each row is: people of a clip are numbered by how long they are seen, the longest
        is 0. None for encoders of one face, or of none.
    face_score : ndarray of float32, shape (n_rows,), or None
        The detector's score; None as `track`.
    """

    clip_id: NDArray[np.object_]
    time_s: NDArray[np.float64] | None
    embedding: NDArray[np.floating]
    metadata: dict[str, Any]
    face_share: NDArray[np.float64] | None = None
    track: NDArray[np.int32] | None = None
    face_score: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        for name in (*OPTIONAL_COLUMNS, "embedding"):
            column = getattr(self, name)
            if column is not None and len(column) != len(self.clip_id):
                expected = f"{len(self.clip_id)} rows, as many as clip_id has"
                raise ValueError(f"{name} of shape {column.shape}: expected {expected}")
        if self.embedding.ndim != 2:
            raise ValueError(f"embedding {self.embedding.shape}: expected (n_rows, dimension)")

    def __repr__(self) -> str:
        n_rows, dimension = self.embedding.shape
        columns = "".join(f", {k}" for k in OPTIONAL_COLUMNS if getattr(self, k) is not None)
        size = f"{len(self.clip_starts())} clips, {n_rows} rows x {dimension}"
        said = ", ".join(self.metadata) or "none"
        return f"FeatureStore({size} {self.embedding.dtype}{columns}; metadata: {said})"

    def clip_starts(self) -> NDArray[np.intp]:
        """Return the first row of every clip."""
        is_first = np.r_[True, self.clip_id[1:] != self.clip_id[:-1]]
        return np.flatnonzero(is_first[: len(self.clip_id)])

    def clips(self) -> Iterator[tuple[str, Embedding]]:
        """Yield each clip's id and embedding; there has to be a `time_s`."""
        assert self.time_s is not None
        seen = self.track, self.face_score
        for a, b in pairwise([*self.clip_starts(), len(self.clip_id)]):
            share = None if self.face_share is None else float(self.face_share[a])
            faces: Any = (each[a:b] if each is not None else None for each in seen)
            yield self.clip_id[a], Embedding(self.time_s[a:b], self.embedding[a:b], share, *faces)

    def to_pandas(self) -> pd.DataFrame:
        """Return a table with one column per dimension, indexed by clip (and time, and track)."""
        table = pd.DataFrame(self.embedding, index=pd.Index(self.clip_id, name="clip_id"))
        for name in ("time_s", "track"):
            if (column := getattr(self, name)) is not None:
                table = table.set_index(pd.Index(column, name=name), append=True)
        return table


def read_store(path: Path | str) -> FeatureStore:
    """Read a feature store's folder, one of its shards, or a file of clip vectors, in one call.

    Shards are read piece by piece into their place, so memory peaks some tens of MB above the
    result. A store that is not there, or is damaged, is a StoreError.

    Examples
    --------
    Usually `features.extraction` has written the store; here two clips are made up.

    >>> import tempfile
    >>> smile = Embedding(np.array([0.0, 0.5]), np.ones((2, 3), np.float16))
    >>> frown = Embedding(np.array([0.0]), np.zeros((1, 3), np.float16))
    >>> clips = [StoredClip("smile.mp4", "0a…", smile), StoredClip("frown.mp4", "5f…", frown)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_store(Path(folder, "clip"), clips, {"identity": "example"})
    ...     store = read_store(Path(folder, "clip"))
    >>> store
    FeatureStore(2 clips, 3 rows x 3 float16, time_s; metadata: identity)
    >>> store.clip_id.tolist()
    ['smile.mp4', 'smile.mp4', 'frown.mp4']
    >>> store.embedding.mean(axis=1).tolist()
    [1.0, 1.0, 0.0]
    """
    shards = shards_of(Path(path))
    try:
        files = [pq.ParquetFile(shard, read_dictionary=["clip_id"]) for shard in shards]
        schema = files[0].schema_arrow
        for shard, file in zip(shards, files, strict=True):
            other = file.schema_arrow
            if not other.equals(schema) or store_metadata(other) != store_metadata(schema):
                raise pa.ArrowInvalid(f"{shard.name} has other columns or origin than the first")
        kind = schema.field("embedding").type
        if not (pa.types.is_fixed_size_list(kind) and pa.types.is_floating(kind.value_type)):
            raise pa.ArrowInvalid(f"the column embedding is {kind}: expected lists of floats")
        n_rows = sum(file.metadata.num_rows for file in files)
        column: dict[str, NDArray[Any]] = {
            "embedding": np.empty((n_rows, kind.list_size), kind.value_type.to_pandas_dtype()),
            "clip_id": np.empty(n_rows, object),
        }
        others = OPTIONAL_COLUMNS.keys() & schema.names
        column |= {name: np.empty(n_rows, OPTIONAL_COLUMNS[name]) for name in others}
        first = 0
        for file in files:
            for number in range(file.num_row_groups):
                group = file.read_row_group(number, list(column), use_threads=False)
                rows = slice(first, first := first + len(group))
                for name, array in column.items():
                    array[rows] = _values(group[name].combine_chunks(), array)
    except (pa.ArrowException, KeyError, OSError, ValueError) as error:
        raise StoreError(
            f"{path} is not a feature store, or it is damaged: expected Parquet with the columns "
            f"clip_id and embedding (fixed-size list of floats); {error}. Write it again with "
            "`dvc repro` or `eri extract`"
        ) from error
    columns: dict[str, Any] = {"time_s": None, **column}
    return FeatureStore(metadata=store_metadata(schema), **columns)


def stored_clips(path: Path) -> Iterator[tuple[dict[str, Any], list[StoredClip]]]:
    """Yield the shards of a store, each with its metadata and its clips.

    It is a StoreError as in `read_store`, and for a store without the digests of its clips.
    """
    for shard in shards_of(path):
        store = read_store(shard)
        digests = (pq.read_metadata(shard).metadata or {}).get(CLIPS_KEY, b"").decode().split()
        if store.time_s is None or len(store.clip_starts()) != len(digests):
            raise StoreError(f"{shard} does not say which bytes its clips have: extract them anew")
        clips = zip(store.clips(), digests, strict=True)
        yield store.metadata, [StoredClip(name, digest, each) for (name, each), digest in clips]


def gather(clips: Iterable[StoredClip], metadata: Mapping[str, Any]) -> FeatureStore:
    """Make a store in memory; at least one clip is needed."""
    ids, _, each = zip(*clips, strict=True)
    n_rows = [len(embedding.time_s) for embedding in each]
    shares = [embedding.face_share for embedding in each]
    columns: list[Any] = [
        None if any(part is None for part in parts) else np.concatenate(parts)
        for parts in zip(*((e.time_s, e.values, e.track, e.face_score) for e in each), strict=True)
    ]
    share = None if None in shares else np.repeat(np.array(shares, np.float64), n_rows)
    clip_id = np.repeat(np.array(ids, object), n_rows)
    time_s, values, *faces = columns
    return FeatureStore(clip_id, time_s, values, dict(metadata), share, *faces)


def store_metadata(schema: pa.Schema) -> dict[str, Any]:
    """Return what a store's file says of what made it; empty when it says nothing."""
    return dict(json.loads((schema.metadata or {}).get(METADATA_KEY, b"{}")))


def shards_of(path: Path) -> list[Path]:
    """Return the files of a store in their order; without one, or with gaps, a StoreError."""
    shards = sorted(path.glob("part-*.parquet")) if path.is_dir() else [path]
    if not shards or not shards[0].exists():
        raise StoreError(f"there is no feature store at {path}: run `dvc repro`, or `dvc pull`")
    for index, shard in enumerate(shards if path.is_dir() else []):
        if shard.name != (name := _SHARD.format(index)):
            why = f"holds {shard.name} where {name} is expected: one is missing, or this is a copy"
            raise StoreError(f"{path} {why}. Run `dvc repro`, or `dvc pull`")
    return shards


def write_store(folder: Path, clips: Iterable[StoredClip], metadata: Mapping[str, Any]) -> None:
    """Write a store, replacing the one that is there as `features.files.replacing_folder` does.

    Clips come in the order wanted, and are drawn as shards of them are written; `metadata` is what
    JSON can hold. Errors are those of `check_replaceable`, and leave an old store as it was.
    """
    with explaining(f"{folder} cannot be written", _ADVICE), replacing_folder(folder) as beside:
        check_replaceable(folder)
        for index, shard in enumerate(_by_bytes(clips)):
            digests = " ".join(clip.sha256 for clip in shard).encode()
            table = _table(gather(shard, metadata))
            _write_parquet(table, beside / _SHARD.format(index), {CLIPS_KEY: digests})


def check_replaceable(folder: Path) -> None:
    """Make sure that a store can be written there, and nothing but an old store is overwritten.

    A file, or a folder with anything but shards in it, is a StoreError; a place where nothing can
    be written is an OSError.
    """
    with explaining(f"{folder} cannot be written", _ADVICE):
        there = next(each for each in folder.absolute().parents if each.exists())
        tempfile.TemporaryFile(dir=there).close()
    inside = [folder] if folder.is_file() else folder.glob("*")
    if strange := [
        each for each in inside if not (each.match("part-*.parquet") and each.is_file())
    ]:
        why = f"(it holds {strange[0].name}) and is not overwritten: choose another folder"
        raise StoreError(f"{folder} is not a feature store {why} to write to")


def write_clip_vectors(
    path: Path,
    clip_id: NDArray[np.object_],
    vectors: NDArray[np.floating],
    metadata: Mapping[str, Any],
    face_share: NDArray[np.float64] | None = None,
) -> None:
    """Write one vector per clip (n_clips, dimension) to one Parquet file."""
    _write_file(path, _table(FeatureStore(clip_id, None, vectors, dict(metadata), face_share)))


def write_failures(path: Path, failures: pd.DataFrame) -> None:
    """Write a failure table: ``clip_id``, ``step``, ``reason``, all text."""
    schema = pa.schema([(name, pa.string()) for name in ("clip_id", "step", "reason")])
    _write_file(path, pa.Table.from_pandas(failures, schema=schema, preserve_index=False))


def _values(column: pa.Array, place: NDArray[Any]) -> NDArray[Any]:
    numbers = column.flatten() if pa.types.is_fixed_size_list(column.type) else column
    if column.null_count or numbers.null_count:
        raise pa.ArrowInvalid("nulls in a column: write NaN where a number is missing")
    if pa.types.is_dictionary(numbers.type):  # one object for all rows of a clip
        return np.asarray(numbers.dictionary.to_numpy(zero_copy_only=False)[numbers.indices])
    kind = pa.string() if place.dtype == object else pa.from_numpy_dtype(place.dtype)
    return np.asarray(numbers.cast(kind)).reshape(len(column), *place.shape[1:])


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


def _table(store: FeatureStore) -> pa.Table:
    columns = {"clip_id": pa.array(store.clip_id, pa.string())}
    for name, dtype in OPTIONAL_COLUMNS.items():
        if (column := getattr(store, name)) is not None:
            columns[name] = pa.array(np.asarray(column, dtype))
    values = pa.array(np.ascontiguousarray(store.embedding).reshape(-1))
    item = pa.field("item", values.type, nullable=False)
    rows_type = pa.list_(item, store.embedding.shape[1])
    table = pa.table(columns).append_column(
        pa.field("embedding", rows_type, nullable=False),
        pa.FixedSizeListArray.from_arrays(values, type=rows_type),
    )
    return table.replace_schema_metadata({METADATA_KEY: json.dumps(store.metadata, sort_keys=True)})


def _write_file(path: Path, table: pa.Table) -> None:
    with explaining(f"{path} cannot be written", _ADVICE), replacing_file(path) as beside:
        _write_parquet(table, beside, {})


def _write_parquet(table: pa.Table, path: Path, metadata: Mapping[bytes, bytes]) -> None:
    with pq.ParquetWriter(
        path,
        table.schema,
        use_dictionary=False,  # embeddings do not repeat, and do not compress
        compression="none",
        write_statistics=["clip_id", "time_s"],  # those of embeddings say nothing, and take time
        data_page_size=_ROW_GROUP_BYTES,  # larger pages are read faster
    ) as writer:
        row_bytes = max(table.nbytes // max(len(table), 1), 1)
        writer.write_table(table, max(_ROW_GROUP_BYTES // row_bytes, 1))
        writer.add_key_value_metadata(metadata)
