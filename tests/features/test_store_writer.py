import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from features import store_writer
from features.store import (
    StoreError,
    read_store,
    stored_clips,
)
from features.store_writer import write_clip_vectors, write_failures, write_store
from tests.features.stored import clips


def test_equal_content_gives_equal_bytes(tmp_path):
    for name in ("a", "b"):
        write_store(tmp_path / name, clips(), {"identity": "x"})
    first, second = (tmp_path / name / "part-00000.parquet" for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


def test_a_store_is_plain_parquet(tmp_path):
    write_store(tmp_path / "clip", clips(), {})
    table = pd.read_parquet(tmp_path / "clip")
    assert list(table.columns) == ["clip_id", "time_s", "embedding"]
    schema = pq.read_schema(tmp_path / "clip" / "part-00000.parquet")
    field = schema.field("embedding")
    assert not field.nullable
    assert field.type.list_size == 3


def test_a_failed_write_leaves_the_old_store(tmp_path):
    write_store(tmp_path / "clip", clips(2), {})

    with pytest.raises(OSError, match="clip cannot be written: disk full"):
        write_store(tmp_path / "clip", _failing(), {})
    assert [path.name for path in tmp_path.iterdir()] == ["clip"]
    assert len(set(read_store(tmp_path / "clip").clip_id)) == 2


def test_clips_are_drawn_only_as_their_shard_is_written(tmp_path, monkeypatch):
    def drawn():
        for k, clip in enumerate(clips(20)):
            written = list((tmp_path / ".part.clip").iterdir())
            assert len(written) >= k - 1
            yield clip

    monkeypatch.setattr(store_writer, "_SHARD_BYTES", 1)
    write_store(tmp_path / "clip", drawn(), {})
    assert len(list((tmp_path / "clip").iterdir())) == 20


def test_what_is_no_store_is_never_overwritten(tmp_path):
    precious = tmp_path / "clip" / "precious.mp4"
    precious.parent.mkdir()
    precious.write_text("precious")
    with pytest.raises(StoreError, match=r"holds precious\.mp4.*not overwritten"):
        write_store(tmp_path / "clip", clips(1), {})
    assert precious.read_text() == "precious"


def test_a_rewrite_leaves_no_old_shard(tmp_path, monkeypatch):
    monkeypatch.setattr(store_writer, "_SHARD_BYTES", 1)
    write_store(tmp_path / "clip", clips(5), {})
    write_store(tmp_path / "clip", clips(2), {})
    assert len(set(read_store(tmp_path / "clip").clip_id)) == 2


def test_clip_vectors_have_no_time(tmp_path):
    vectors = np.arange(6, dtype=np.float32).reshape(2, 3)
    write_clip_vectors(tmp_path / "x.parquet", np.array(["a", "b"], object), vectors, {"k": 1})
    store = read_store(tmp_path / "x.parquet")
    assert store.time_s is None
    with pytest.raises(StoreError, match="does not say which bytes"):
        list(stored_clips(tmp_path / "x.parquet"))
    assert store.metadata == {"k": 1}
    assert store.to_pandas().loc["b"].tolist() == [3, 4, 5]


def test_a_failure_table_may_be_empty(tmp_path):
    columns = ["clip_id", "step", "reason"]
    write_failures(tmp_path / "none.parquet", pd.DataFrame(columns=columns))
    assert list(pd.read_parquet(tmp_path / "none.parquet").columns) == columns


def _failing():
    yield clips(1)[0]
    raise OSError("disk full")
