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
    for name in ("embedding", "time_s", "clip_id", "face_share", "track", "face_score"):
        found, right = getattr(store, name), getattr(expected, name)
        assert (found is None) == (right is None)
        assert right is None or (found.dtype == right.dtype and np.array_equal(found, right))


@pytest.mark.parametrize("kind", ["float16", "float32", "faces"])
@pytest.mark.parametrize("shard_bytes", [1, 20, 2**28])
@pytest.mark.parametrize("row_group_bytes", [1, 2**24])
def test_a_store_reads_back_as_written(tmp_path, monkeypatch, kind, shard_bytes, row_group_bytes):
    monkeypatch.setattr(module, "_SHARD_BYTES", shard_bytes)
    monkeypatch.setattr(module, "_ROW_GROUP_BYTES", row_group_bytes)
    if kind == "faces":
        written = [each._replace(embedding=of_all_faces(each.embedding)) for each in clips()]
    else:
        written = clips(dtype=kind, face_share=0.5 if kind == "float32" else None)
    write_store(tmp_path / "clip", written, {"identity": "x"})
    n_shards = len(list((tmp_path / "clip").iterdir()))
    assert (n_shards == 1) == (shard_bytes == 2**28)
    store = read_store(tmp_path / "clip")
    assert_same(store, gather(written, {"identity": "x"}))
    assert len({id(each) for each in store.clip_id}) < len(store.clip_id) or row_group_bytes == 1
    parts = [part for _, part in stored_clips(tmp_path / "clip")]
    back = [clip for part in parts for clip in part]
    assert [clip[:2] for clip in back] == [clip[:2] for clip in written]
    assert all(same(a.embedding, b.embedding) for a, b in zip(back, written, strict=True))
    for shard, part in zip(shards_of(tmp_path / "clip"), parts, strict=True):
        assert_same(read_store(shard), gather(part, {"identity": "x"}))


def test_equal_content_gives_equal_bytes_of_plain_parquet(tmp_path):
    for name in ("a", "b"):
        write_store(tmp_path / name, clips(face_share=0.5), {"identity": "x"})
    first, second = (tmp_path / name / "part-00000.parquet" for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    table = pd.read_parquet(tmp_path / "a")
    assert list(table.columns) == ["clip_id", "time_s", "face_share", "embedding"]
    assert table["face_share"].eq(0.5).all()
    field = pq.read_schema(first).field("embedding")
    assert (field.nullable, field.type.list_size) == (False, 3)


def test_clips_are_drawn_only_as_their_shard_is_written_and_an_error_leaves_the_old_store(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "_SHARD_BYTES", 1)

    def drawn(fails: bool):
        for k, clip in enumerate(clips(20)):
            (beside,) = tmp_path.glob(".part.*")
            assert len(list(beside.iterdir())) >= k - 1
            if fails and k == 5:
                raise OSError("disk full")
            yield clip

    write_store(tmp_path / "clip", drawn(fails=False), {})
    with pytest.raises(OSError, match=r"clip cannot be written \(disk full\): make room"):
        write_store(tmp_path / "clip", drawn(fails=True), {})
    assert [path.name for path in tmp_path.iterdir()] == ["clip"]
    assert len(shards_of(tmp_path / "clip")) == 20
    write_store(tmp_path / "clip", clips(2), {})
    assert len(list((tmp_path / "clip").iterdir())) == 2  # no old shard is left


def test_what_is_no_store_is_never_overwritten(tmp_path):
    precious = tmp_path / "clip" / "precious.mp4"
    precious.parent.mkdir()
    precious.write_text("precious")
    for place in (precious, precious.parent):
        with pytest.raises(StoreError, match=r"holds precious\.mp4.*not overwritten"):
            write_store(place, clips(1), {})
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
    assert (store.time_s, store.metadata) == (None, {"k": 1})
    assert store.to_pandas().loc["b"].tolist() == [3, 4, 5]
    with pytest.raises(StoreError, match="does not say which bytes"):
        list(stored_clips(tmp_path / "x.parquet"))
    columns = ["clip_id", "step", "reason"]
    write_failures(tmp_path / "none.parquet", pd.DataFrame(columns=columns))
    assert list(pd.read_parquet(tmp_path / "none.parquet").columns) == columns


CUT_OFF = b"PAR1 and then nothing of what is expected"
FLOATS, THREES, FOURS = pa.list_(pa.float32()), pa.list_(pa.float32(), 3), pa.list_(pa.float32(), 4)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "dvc repro"), (CUT_OFF, "or it is damaged.*Write it again"), (b"", "size is 0 bytes")],
)
def test_a_store_that_cannot_be_read_says_what_to_do(tmp_path, content, message):
    if content is not None:
        (tmp_path / "part-00000.parquet").write_bytes(content)
    with pytest.raises(StoreError, match=message):
        read_store(tmp_path)


@pytest.mark.parametrize(
    "other",
    [
        {"embedding": pa.array([[2.0]] * 2, pa.list_(pa.float32(), 1))},
        {"embedding": pa.array([[2.0] * 4] * 2, FOURS)},
        {"embedding": pa.array([[1e6] * 3] * 2, pa.list_(pa.float64(), 3))},
        {"track": pa.array([0, 1], pa.int32())},
        {"renamed": pa.array([0.0, 1.0])},
        {},
    ],
)
def test_a_shard_of_another_store_is_refused(tmp_path, other):
    """Numbers would be repeated, cut or overflow, people be pooled as one, clips be lost."""
    table = {"clip_id": pa.array(["a", "a"]), "time_s": pa.array([0.0, 1.0])}
    table["embedding"] = pa.array([[1.0, 2.0, 3.0]] * 2, THREES)
    for name, columns, identity in (("0", table, "0"), ("1", table | other, "0" if other else "1")):
        said = {"eri": f'{{"identity": "{identity}"}}'}
        content = pa.table(columns).replace_schema_metadata(said)
        pq.write_table(content, tmp_path / f"part-0000{name}.parquet")
    with pytest.raises(StoreError, match=r"part-00001\.parquet has other columns"):
        read_store(tmp_path)
    for wrong in ("part-00000 (1).parquet", "part-00002.parquet"):  # a copy; one is missing
        (tmp_path / "part-00001.parquet").rename(tmp_path / wrong)
        with pytest.raises(StoreError, match=r"holds .* where part-0000[01]\.parquet is expected"):
            read_store(tmp_path)
        (tmp_path / wrong).rename(tmp_path / "part-00001.parquet")


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
        ("embedding", pa.array([[1, 2, 3], [5, 6]], FLOATS), "list"),
        ("embedding", pa.array([1.0, 2.0]), "not a feature store"),
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
    written = [each._replace(embedding=of_all_faces(each.embedding)) for each in clips(3)]
    store = gather(written, {"identity": "x"})
    assert repr(store) == (
        "FeatureStore(3 clips, 6 rows x 3 float16, time_s, face_share, track, face_score; "
        "metadata: identity)"
    )
    table = store.to_pandas()
    assert (table.index.names, table.shape) == (["clip_id", "time_s", "track"], (6, 3))
    for name in ("clip_id", "time_s", "embedding", "face_share"):
        with pytest.raises(ValueError, match=r"of shape .*expected \d rows"):
            replace(store, **{name: getattr(store, name)[:-1]})
    with pytest.raises(ValueError, match=r"expected \(n_rows, dimension\)"):
        replace(store, embedding=store.embedding[:, 0])
