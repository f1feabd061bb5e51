"""Feature stores: one encoder's embeddings as plain Parquet that any reader opens.

A store is a folder of shards ``part-00000.parquet`` with the columns ``clip_id``, ``time_s`` and
``embedding`` (non-null fixed-size list), in the order of the clip table and then of time. What made
the numbers is in the files' metadata under the key ``eri``, as JSON. Beside the folder lies
``<name>.failures.parquet`` with ``clip_id``, ``step`` and ``reason``: every clip is in one or the
other. Equal content gives equal bytes.
"""

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.arrow import embedding_array, embedding_matrix
from features.cache import Embedding

_SHARD_BYTES = 256 * 2**20
_METADATA_KEY = b"eri"


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
    """

    clip_id: NDArray[np.object_]
    time_s: NDArray[np.float64] | None
    embedding: NDArray[np.floating]
    metadata: dict[str, Any]

    def to_pandas(self) -> pd.DataFrame:
        """Return a table with one column per dimension, indexed by clip (and time)."""
        index: pd.Index = pd.Index(self.clip_id, name="clip_id")
        if self.time_s is not None:
            index = pd.MultiIndex.from_arrays(
                [self.clip_id, self.time_s], names=["clip_id", "time_s"]
            )
        return pd.DataFrame(self.embedding, index=index)


def read_store(path: Path | str) -> FeatureStore:
    """Read a feature store's folder, or one file of clip vectors, in one call.

    Raises
    ------
    StoreError
        When there is no store at `path`.
    """
    path = Path(path)
    if not path.exists() or (path.is_dir() and not any(path.glob("part-*.parquet"))):
        raise StoreError(f"there is no feature store at {path}: run `dvc repro`, or `dvc pull`")
    try:
        table = pyarrow.dataset.dataset(path, format="parquet").to_table()
        embedding = embedding_matrix(table["embedding"])
        clip_id = table["clip_id"].to_numpy()
    except (pa.ArrowInvalid, KeyError, AttributeError) as error:
        raise StoreError(
            f"{path} is not a feature store: expected Parquet with the columns clip_id and "
            f"embedding (fixed-size list); {error}"
        ) from error
    time_s = table["time_s"].to_numpy() if "time_s" in table.column_names else None
    metadata = json.loads((table.schema.metadata or {}).get(_METADATA_KEY, b"{}"))
    return FeatureStore(clip_id, time_s, embedding, metadata)


def write_store(
    folder: Path, clips: Iterable[tuple[str, Embedding]], metadata: Mapping[str, Any]
) -> int:
    """Write a store, replacing the one that is there when all of it is written.

    Parameters
    ----------
    folder : Path
        The store's folder.
    clips : iterable of (clip_id, Embedding)
        In the order wanted; drawn one at a time.
    metadata : mapping
        JSON-serialisable.

    Returns
    -------
    int
        Number of rows written.

    Raises
    ------
    StoreError
        When the folder holds something else; see `check_replaceable`.
    """
    check_replaceable(folder)
    beside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    n_rows = 0
    n_shards = 0
    waiting: list[tuple[str, Embedding]] = []
    waiting_bytes = 0

    def write_shard() -> None:
        nonlocal waiting, waiting_bytes, n_shards
        table = _table(waiting, metadata)
        _write_parquet(table, beside / f"part-{n_shards:05d}.parquet")
        n_shards += 1
        waiting, waiting_bytes = [], 0

    for clip_id, embedding in clips:
        waiting.append((clip_id, embedding))
        waiting_bytes += embedding.values.nbytes
        n_rows += len(embedding.values)
        if waiting_bytes >= _SHARD_BYTES:
            write_shard()
    if waiting:
        write_shard()
    if folder.exists():
        shutil.rmtree(folder)
    beside.replace(folder)
    return n_rows


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
) -> None:
    """Write one vector per clip (n_clips, dimension) to one Parquet file."""
    table = pa.table({"clip_id": pa.array(clip_id, pa.string())})
    table = table.append_column(_embedding_field(vectors), embedding_array(vectors))
    _write_parquet(table.replace_schema_metadata(_encoded(metadata)), path)


def write_failures(path: Path, failures: pd.DataFrame) -> None:
    """Write a failure table: ``clip_id``, ``step``, ``reason``, all text."""
    schema = pa.schema([(name, pa.string()) for name in ("clip_id", "step", "reason")])
    _write_parquet(pa.Table.from_pandas(failures, schema=schema, preserve_index=False), path)


def _is_shard(path: Path) -> bool:
    return path.is_file() and path.match("part-*.parquet")


def _table(clips: list[tuple[str, Embedding]], metadata: Mapping[str, Any]) -> pa.Table:
    n_rows = [len(embedding.time_s) for _, embedding in clips]
    values = np.concatenate([embedding.values for _, embedding in clips])
    table = pa.table(
        {
            "clip_id": np.repeat(np.array([clip_id for clip_id, _ in clips], object), n_rows),
            "time_s": np.concatenate([embedding.time_s for _, embedding in clips]),
        }
    )
    table = table.append_column(_embedding_field(values), embedding_array(values))
    return table.replace_schema_metadata(_encoded(metadata))


def _embedding_field(matrix: NDArray[np.floating]) -> pa.Field:
    return pa.field("embedding", embedding_array(matrix[:0]).type, nullable=False)


def _encoded(metadata: Mapping[str, Any]) -> dict[bytes, bytes]:
    return {_METADATA_KEY: json.dumps(metadata, sort_keys=True).encode()}


def _write_parquet(table: pa.Table, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    # Embeddings do not compress, and a dictionary of them would only cost time.
    pq.write_table(table, beside, use_dictionary=False, compression="none")
    beside.replace(path)
