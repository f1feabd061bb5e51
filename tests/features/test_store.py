from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features import store as module
from features.store import (
    FeatureStore,
    StoreError,
    check_replaceable,
    gather,
    read_store,
    shards_of,
    stored_clips,
    write_clip_vectors,
    write_failures,
    write_store,
)
from tests.features.stored import clips, of_all_faces, same


def assert_same(store: FeatureStore, expected: FeatureStore) -> None:
    assert store.metadata == expected.metadata
    for name in ("embedding", "time_s", "clip_id", "face_share"):
        found, right = getattr(store, name), getattr(expected, name)
        assert (found is None) == (right is None)
        assert right is None or (found.dtype == right.dtype and np.array_equal(found, right))


@pytest.mark.parametrize(("dtype", "face_share"), [("float16", None), ("float32", 0.5)])
@pytest.mark.parametrize("shard_bytes", [1, 20, 2**28])
@pytest.mark.parametrize("row_group_bytes", [1, 2**24])
def test_a_store_reads_back_as_written(
    tmp_path, monkeypatch, dtype, face_share, shard_bytes, row_group_bytes
):
    monkeypatch.setattr(module, "_SHARD_BYTES", shard_bytes)
    monkeypatch.setattr(module, "_ROW_GROUP_BYTES", row_group_bytes)
    written = clips(dtype=dtype, face_share=face_share)
    write_store(tmp_path / "clip", written, {"identity": "x"})
    n_shards = len(list((tmp_path / "clip").iterdir()))
    assert (n_shards == 1) == (shard_bytes == 2**28)
    store = read_store(tmp_path / "clip")
    assert_same(store, gather(written, {"identity": "x"}))
    assert len({id(each) for each in store.clip_id}) < len(store.clip_id) or row_group_bytes == 1
    parts = [part for _, part in stored_clips(tmp_path / "clip")]
    assert [clip[:2] for part in parts for clip in part] == [clip[:2] for clip in written]
    shards = [read_store(shard) for shard in shards_of(tmp_path / "clip")]
    assert len(shards) == len(parts) == n_shards
    for shard, part in zip(shards, parts, strict=True):
        assert_same(shard, gather(part, {"identity": "x"}))


def test_equal_content_gives_equal_bytes_of_plain_parquet(tmp_path):
    for name in ("a", "b"):
        write_store(tmp_path / name, clips(face_share=0.5), {"identity": "x"})
    first, second = (tmp_path / name / "part-00000.parquet" for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    table = pd.read_parquet(tmp_path / "a")
    assert list(table.columns) == ["clip_id", "time_s", "face_share", "embedding"]
    assert table["face_share"].eq(0.5).all()
    field = pq.read_schema(first).field("embedding")
    assert not field.nullable
    assert field.type.list_size == 3


def test_a_failed_write_leaves_the_old_store(tmp_path):
    def failing():
        yield clips(1)[0]
        raise OSError("disk full")

    write_store(tmp_path / "clip", clips(2), {})
    with pytest.raises(OSError, match=r"clip cannot be written \(disk full\): make room"):
        write_store(tmp_path / "clip", failing(), {})
    assert [path.name for path in tmp_path.iterdir()] == ["clip"]
    assert len(set(read_store(tmp_path / "clip").clip_id)) == 2


def test_clips_are_drawn_only_as_their_shard_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_SHARD_BYTES", 1)

    def drawn():
        for k, clip in enumerate(clips(20)):
            (beside,) = tmp_path.glob(".part.*")
            assert len(list(beside.iterdir())) >= k - 1
            yield clip

    write_store(tmp_path / "clip", drawn(), {})
    assert len(list((tmp_path / "clip").iterdir())) == 20
    write_store(tmp_path / "clip", clips(2), {})
    assert len(list((tmp_path / "clip").iterdir())) == 2  # no old shard is left


def test_what_is_no_store_is_never_overwritten(tmp_path):
    precious = tmp_path / "clip" / "precious.mp4"
    precious.parent.mkdir()
    precious.write_text("precious")
    with pytest.raises(StoreError, match=r"holds precious\.mp4.*not overwritten"):
        write_store(tmp_path / "clip", clips(1), {})
    assert precious.read_text() == "precious"
    with pytest.raises(OSError, match=r"below cannot be written \(Not a directory\)"):
        check_replaceable(precious / "below")


def test_a_place_that_cannot_be_written_is_said_before_any_work(read_only):
    with pytest.raises(OSError, match=r"b cannot be written \(Permission denied\).*another folder"):
        check_replaceable(read_only / "a" / "b")


def test_clip_vectors_have_no_time_and_failure_tables_may_be_empty(tmp_path):
    vectors = np.arange(6, dtype=np.float32).reshape(2, 3)
    write_clip_vectors(tmp_path / "x.parquet", np.array(["a", "b"], object), vectors, {"k": 1})
    store = read_store(tmp_path / "x.parquet")
    assert store.time_s is None
    assert store.metadata == {"k": 1}
    assert store.to_pandas().loc["b"].tolist() == [3, 4, 5]
    with pytest.raises(StoreError, match="does not say which bytes"):
        list(stored_clips(tmp_path / "x.parquet"))
    columns = ["clip_id", "step", "reason"]
    write_failures(tmp_path / "none.parquet", pd.DataFrame(columns=columns))
    assert list(pd.read_parquet(tmp_path / "none.parquet").columns) == columns


def test_a_store_that_cannot_be_read_says_what_to_do(tmp_path):
    with pytest.raises(StoreError, match="dvc repro"):
        read_store(tmp_path / "nothing")
    write_store(tmp_path / "clip", clips(), {})
    shard = tmp_path / "clip" / "part-00000.parquet"
    shard.write_bytes(shard.read_bytes()[:-20])
    with pytest.raises(StoreError, match="or it is damaged.*Write it again"):
        read_store(tmp_path / "clip")
    shard.write_bytes(b"")
    with pytest.raises(StoreError, match="size is 0 bytes"):
        read_store(tmp_path / "clip")
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(StoreError, match="not a feature store"):
        read_store(tmp_path / "other.parquet")


@pytest.mark.parametrize(
    "other",
    [
        {"embedding": pa.array([[2.0]] * 2, pa.list_(pa.float32(), 1))},
        {"embedding": pa.array([[2.0] * 4] * 2, pa.list_(pa.float32(), 4))},
        {"embedding": pa.array([[1e6] * 3] * 2, pa.list_(pa.float64(), 3))},
        {"track": pa.array([0, 1], pa.int32())},
        {"renamed": pa.array([0.0, 1.0])},
        {},
    ],
)
def test_a_shard_of_another_store_is_refused(tmp_path, other):
    """Numbers would be repeated, cut or overflow, people be pooled as one, clips be lost."""
    clip_id, time_s = pa.array(["a", "a"]), pa.array([0.0, 1.0])
    table = {"clip_id": clip_id, "time_s": time_s}
    table["embedding"] = pa.array([[1.0, 2.0, 3.0]] * 2, pa.list_(pa.float32(), 3))
    for name, columns, identity in (("0", table, "0"), ("1", table | other, "0" if other else "1")):
        content = pa.table(columns).replace_schema_metadata(
            {"eri": f'{{"identity": "{identity}"}}'}
        )
        pq.write_table(content, tmp_path / f"part-0000{name}.parquet")
    with pytest.raises(StoreError, match=r"part-00001\.parquet has other columns"):
        read_store(tmp_path)
    for wrong in ("part-00000 (1).parquet", "part-00002.parquet"):  # a copy; one is missing
        (tmp_path / "part-00001.parquet").rename(tmp_path / wrong)
        with pytest.raises(StoreError, match=r"holds .* where part-0000[01]\.parquet is expected"):
            read_store(tmp_path)
        (tmp_path / wrong).rename(tmp_path / "part-00001.parquet")


FOURS = pa.list_(pa.float32(), 4)


@pytest.mark.parametrize(
    ("name", "column", "expected"),
    [
        ("time_s", pa.array([0, 1]), [0.0, 1.0]),
        ("time_s", pa.array([0.0, None]), "nulls"),
        ("time_s", pa.array([0, 1], pa.duration("ms")), "Unsupported cast"),
        ("clip_id", pa.array([7, 7]), ["7", "7"]),
        ("clip_id", pa.array(["a", None]), "nulls"),
        ("embedding", pa.array([[1, 2, None, 4], [5, 6, 7, 8]], FOURS), "nulls"),
        ("embedding", pa.array([[1, 2, 3, 4], None], FOURS), "nulls"),
        ("embedding", pa.array([[1, 2], [3, 4]], pa.list_(pa.int8(), 2)), "int8"),
        ("embedding", pa.array([[1, 2, 3], [5, 6]], pa.list_(pa.float32())), "list"),
        ("embedding", pa.array([[1, 2], [3, 4]], pa.list_(pa.float64(), 2)), [[1, 2], [3, 4]]),
    ],
)
def test_columns_are_of_their_types_or_refused(tmp_path, name, column, expected):
    embedding = pa.array([[1.0, 2.0]] * 2, pa.list_(pa.float32(), 2))
    table = {"clip_id": pa.array(["a", "a"]), "embedding": embedding, name: column}
    pq.write_table(pa.table(table), tmp_path / "part-00000.parquet")
    if isinstance(expected, list):
        assert getattr(read_store(tmp_path), name).tolist() == expected
    else:
        with pytest.raises(StoreError, match=expected):
            read_store(tmp_path)


def test_a_store_in_memory_prints_its_shape_and_has_equally_long_columns():
    store = gather(clips(3, face_share=0.5), {"identity": "x"})
    assert repr(store) == (
        "FeatureStore(3 clips, 6 rows x 3 float16, time_s, face_share; metadata: identity)"
    )
    table = store.to_pandas()
    assert table.index.names == ["clip_id", "time_s"]
    assert table.shape == (6, 3)
    for name in ("clip_id", "time_s", "embedding", "face_share"):
        with pytest.raises(ValueError, match=r"of shape .*expected \d rows"):
            replace(store, **{name: getattr(store, name)[:-1]})
    with pytest.raises(ValueError, match=r"expected \(n_rows, dimension\)"):
        replace(store, embedding=store.embedding[:, 0])


def test_faces_of_several_people_are_told_apart(tmp_path):
    written = [each._replace(embedding=of_all_faces(each.embedding)) for each in clips(3)]
    write_store(tmp_path / "faces", written, {"identity": "x"})
    ((_, back),) = stored_clips(tmp_path / "faces")
    assert all(same(a.embedding, b.embedding) for a, b in zip(written, back, strict=True))
    store = read_store(tmp_path / "faces")
    assert (store.track.dtype, store.face_score.dtype) == (np.int32, np.float32)
    table = store.to_pandas()
    assert table.index.names == ["clip_id", "time_s", "track"]
    n_people = table.reset_index("track").groupby("clip_id")["track"].nunique()
    assert n_people.to_dict() == {"c0": 1, "c1": 2, "c2": 2}
