"""Writing what `features.store` reads: feature stores, tables of clip vectors, failure tables."""

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.files import explaining, replacing_file, replacing_folder
from features.store import (
    CLIPS_KEY,
    METADATA_KEY,
    OPTIONAL_COLUMNS,
    FeatureStore,
    StoredClip,
    StoreError,
    gather,
)

_ADVICE = "make room or give write access, or choose another folder"
_SHARD_BYTES = 32 * 2**20
_ROW_GROUP_BYTES = 8 * 2**20


def write_store(folder: Path, clips: Iterable[StoredClip], metadata: Mapping[str, Any]) -> None:
    """Write a store, replacing the one that is there as `features.files.replacing_folder` does.

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
    with explaining(f"{folder} cannot be written", _ADVICE), replacing_folder(folder) as beside:
        check_replaceable(folder)
        for index, shard in enumerate(_by_bytes(clips)):
            digests = " ".join(clip.sha256 for clip in shard).encode()
            path = beside / f"part-{index:05d}.parquet"
            _write_parquet(_table(gather(shard, metadata)), path, {CLIPS_KEY: digests})


def check_replaceable(folder: Path) -> None:
    """Make sure that a store can be written there, and nothing but an old store is overwritten.

    Raises
    ------
    StoreError
        When `folder` is a file or holds anything but shards.
    OSError
        When nothing can be written there.
    """
    with explaining(f"{folder} cannot be written", _ADVICE):
        there = next(each for each in folder.absolute().parents if each.exists())
        tempfile.TemporaryFile(dir=there).close()
    shards = {path for path in folder.glob("part-*.parquet") if path.is_file()}
    strange = [folder] if folder.is_file() else [*set(folder.glob("*")) - shards]
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
    table = _table(FeatureStore(clip_id, None, vectors, dict(metadata), face_share))
    with explaining(f"{path} cannot be written", _ADVICE), replacing_file(path) as beside:
        _write_parquet(table, beside)


def write_failures(path: Path, failures: pd.DataFrame) -> None:
    """Write a failure table: ``clip_id``, ``step``, ``reason``, all text."""
    schema = pa.schema([(name, pa.string()) for name in ("clip_id", "step", "reason")])
    with explaining(f"{path} cannot be written", _ADVICE), replacing_file(path) as beside:
        _write_parquet(pa.Table.from_pandas(failures, schema=schema, preserve_index=False), beside)


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
    said = json.dumps(store.metadata, sort_keys=True).encode()
    return table.replace_schema_metadata({METADATA_KEY: said})


def _write_parquet(
    table: pa.Table, path: Path, metadata: Mapping[bytes, bytes] | None = None
) -> None:
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
        writer.add_key_value_metadata(metadata or {})
