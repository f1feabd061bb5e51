import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features import store_writer
from features.store import (
    FeatureStore,
    StoreError,
    gather,
    read_shards,
    read_store,
    stored_clips,
)
from features.store_writer import write_store
from tests.features.stored import clips


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("shard_bytes", [1, 2**28])
@pytest.mark.parametrize("row_group_bytes", [1, 2**24])
def test_a_store_reads_back_as_written(tmp_path, monkeypatch, dtype, shard_bytes, row_group_bytes):
    monkeypatch.setattr(store_writer, "_SHARD_BYTES", shard_bytes)
    monkeypatch.setattr(store_writer, "_ROW_GROUP_BYTES", row_group_bytes)
    written = clips(dtype=dtype)
    write_store(tmp_path / "clip", written, {"identity": "x"})
    store = read_store(tmp_path / "clip")
    assert store.metadata == {"identity": "x"}
    assert store.embedding.dtype == dtype
    assert np.array_equal(store.embedding, np.concatenate([c.embedding.values for c in written]))
    assert np.array_equal(store.time_s, np.concatenate([c.embedding.time_s for c in written]))
    assert list(dict.fromkeys(store.clip_id)) == [clip.clip_id for clip in written]
    assert store.face_share is None
    n_shards = len(list((tmp_path / "clip").iterdir()))
    assert n_shards == (len(written) if shard_bytes == 1 else 1)
    shards = list(read_shards(tmp_path / "clip"))
    assert len(shards) == n_shards
    assert np.array_equal(np.concatenate([shard.embedding for shard in shards]), store.embedding)
    assert all(shard.metadata == store.metadata for shard in shards)
    gathered = gather(written, {"identity": "x"})
    assert np.array_equal(gathered.embedding, store.embedding)
    assert gathered.clip_id.tolist() == store.clip_id.tolist()


def test_the_share_of_frames_with_a_face_is_a_column(tmp_path):
    written = clips(face_share=0.5)
    write_store(tmp_path / "face", written, {})
    store = read_store(tmp_path / "face")
    assert store.face_share.tolist() == [0.5] * len(store.embedding)
    assert pd.read_parquet(tmp_path / "face")["face_share"].eq(0.5).all()


def test_a_store_gives_its_clips_back_with_their_digests(tmp_path, monkeypatch):
    monkeypatch.setattr(store_writer, "_SHARD_BYTES", 20)
    written = clips(face_share=0.5)
    write_store(tmp_path / "clip", written, {"identity": "x"})
    shards = list(stored_clips(tmp_path / "clip"))
    assert len(shards) > 1
    assert all(metadata == {"identity": "x"} for metadata, _ in shards)
    back = [clip for _, shard in shards for clip in shard]
    assert [clip[:2] for clip in back] == [clip[:2] for clip in written]
    for a, b in zip(back, written, strict=True):
        assert np.array_equal(a.embedding.values, b.embedding.values)
        assert a.embedding.face_share == 0.5


def test_to_pandas_is_indexed_by_clip_and_time(tmp_path):
    write_store(tmp_path / "clip", clips(2), {})
    table = read_store(tmp_path / "clip").to_pandas()
    assert table.index.names == ["clip_id", "time_s"]
    assert table.shape[1] == 3


def test_a_missing_store_says_what_to_do(tmp_path):
    with pytest.raises(StoreError, match="dvc repro"):
        read_store(tmp_path / "nothing")


def test_a_damaged_store_says_so(tmp_path):
    write_store(tmp_path / "clip", clips(), {})
    shard = tmp_path / "clip" / "part-00000.parquet"
    shard.write_bytes(shard.read_bytes()[:-20])
    with pytest.raises(StoreError, match="or it is damaged.*Write it again"):
        read_store(tmp_path / "clip")


def test_another_parquet_file_is_refused(tmp_path):
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(StoreError, match="not a feature store"):
        read_store(tmp_path / "other.parquet")


@pytest.mark.parametrize("settings", [{}, {"use_dictionary": False, "compression": "none"}])
@pytest.mark.parametrize(
    ("embedding", "reason"),
    [
        (pa.array([[1, 2, None, 4], [5, 6, 7, 8]], pa.list_(pa.float32(), 4)), "nulls"),
        (pa.array([[1, 2, 3, 4], None], pa.list_(pa.float32(), 4)), "nulls"),
        (pa.array([[1, 2, 3, 4], [5, 6, 7, 8]], pa.list_(pa.int8(), 4)), "int8"),
        (pa.array([[1, 2, 3, 4], [5, 6]], pa.list_(pa.float32())), "list"),
    ],
)
def test_what_is_no_matrix_of_floats_is_refused(tmp_path, embedding, reason, settings):
    path = tmp_path / "part-00000.parquet"
    table = pa.table({"clip_id": ["a", "b"], "time_s": [0.0, 0.0], "embedding": embedding})
    pq.write_table(table.replace_schema_metadata({"eri.clips": "1 2"}), path, **settings)
    with pytest.raises(StoreError, match=reason):
        read_store(tmp_path)


def test_a_nullable_column_without_nulls_is_read(tmp_path):
    embedding = pa.array([[1, 2], [3, 4]], pa.list_(pa.float64(), 2))
    table = pa.table({"clip_id": ["a", "b"], "time_s": [0.0, 0.0], "embedding": embedding})
    pq.write_table(table, tmp_path / "x.parquet", use_dictionary=False, compression="none")
    assert read_store(tmp_path / "x.parquet").embedding.tolist() == [[1, 2], [3, 4]]


def test_a_store_in_memory_prints_its_shape_and_has_equally_long_columns(tmp_path):
    store = gather(clips(3, face_share=0.5), {"identity": "x"})
    assert repr(store) == (
        "FeatureStore(3 clips, 6 rows x 3 float16, time_s, face_share; metadata: identity)"
    )
    columns = {"clip_id": store.clip_id, "time_s": store.time_s, "embedding": store.embedding}
    for name in columns:
        with pytest.raises(ValueError, match=r"of shape .*expected \("):
            FeatureStore(**(columns | {name: columns[name][:-1]}), metadata={})
    with pytest.raises(ValueError, match="and the dimension"):
        FeatureStore(store.clip_id, None, store.embedding[:, 0], {})
