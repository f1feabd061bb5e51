"""Feature stores: one encoder's embeddings as plain Parquet that any reader opens.

A store is a folder of shards ``part-00000.parquet`` with the columns ``clip_id``, ``time_s`` and
``embedding`` (non-null fixed-size list), in the order of the clip table and then of time; encoders
that crop to faces add ``face_share``. What made the numbers is in the files' metadata under the key
``eri``, as JSON; the digests of a shard's clips under ``eri.clips``, one after the other. Beside
the folder lies ``<name>.failures.parquet`` with ``clip_id``, ``step`` and ``reason``: every clip is
in one or the other. Equal content gives equal bytes.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.arrow import matrix_type
from features.plain_pages import read_matrix_into
from features.segments import Embedding

METADATA_KEY = b"eri"
CLIPS_KEY = b"eri.clips"


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
        return first_rows(self.clip_id)

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
            f"clip_id and embedding (fixed-size list of floats); {error}. Write it again with "
            "`dvc repro` or `eri extract`"
        ) from error


def first_rows(clip_id: NDArray[np.object_]) -> NDArray[np.intp]:
    """Return the first row of every clip in a column of ids; rows of one clip lie together."""
    change = clip_id[1:] != clip_id[:-1]
    return np.flatnonzero(np.r_[True, change][: len(clip_id)])


def store_metadata(schema: pa.Schema) -> dict[str, Any]:
    """Return what a store's file says of what made it; empty when it says nothing."""
    metadata: dict[str, Any] = json.loads((schema.metadata or {}).get(METADATA_KEY, b"{}"))
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
        content = (pq.read_metadata(shard).metadata or {}).get(CLIPS_KEY, b"").decode()
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


def shards_of(path: Path) -> list[Path]:
    """Return the files of a store in their order; raises StoreError where there is none."""
    shards = sorted(path.glob("part-*.parquet")) if path.is_dir() else [path]
    if not shards or not shards[0].exists():
        raise StoreError(f"there is no feature store at {path}: run `dvc repro`, or `dvc pull`")
    return shards


def _read_shards(paths: list[Path]) -> FeatureStore:
    files = [pq.ParquetFile(path, read_dictionary=["clip_id"]) for path in paths]
    schema = files[0].schema_arrow
    dtype, dimension = matrix_type(schema.field("embedding").type)
    n_rows = sum(file.metadata.num_rows for file in files)
    embedding = np.empty((n_rows, dimension), dtype)
    first = 0
    for path, file in zip(paths, files, strict=True):
        end = first + file.metadata.num_rows
        read_matrix_into(embedding[first:end], path, file, "embedding")
        first = end
    others = [name for name in schema.names if name in ("clip_id", "time_s", "face_share")]
    # Threads would take more memory for these columns than the columns themselves.
    table = pa.concat_tables(file.read(others, use_threads=False) for file in files)
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


def _n_rows(clips: list[StoredClip]) -> list[int]:
    return [len(clip.embedding.time_s) for clip in clips]


def _face_shares(clips: list[StoredClip]) -> list[float] | None:
    """Return the share of each row's clip, or None for an encoder without face cropping."""
    shares = [clip.embedding.face_share for clip in clips]
    known = [share for share in shares if share is not None]
    return list(np.repeat(known, _n_rows(clips))) if len(known) == len(clips) else None
