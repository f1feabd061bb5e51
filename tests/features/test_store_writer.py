import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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


def test_a_shard_that_cannot_be_written_leaves_the_old_store(tmp_path, monkeypatch):
    write_store(tmp_path / "clip", clips(2), {})
    write = store_writer._write_parquet

    def full_disk(table, path, metadata):
        if path.name == "part-00003.parquet":
            raise OSError(28, "No space left on device")
        write(table, path, metadata)

    monkeypatch.setattr(store_writer, "_SHARD_BYTES", 1)
    monkeypatch.setattr(store_writer, "_write_parquet", full_disk)
    with pytest.raises(OSError, match="clip cannot be written: No space left on device"):
        write_store(tmp_path / "clip", clips(9), {})
    assert [path.name for path in tmp_path.iterdir()] == ["clip"]
    assert len(set(read_store(tmp_path / "clip").clip_id)) == 2


def test_a_store_that_cannot_be_put_in_its_place_leaves_the_old_one(tmp_path, monkeypatch):
    write_store(tmp_path / "clip", clips(2), {})
    replace = Path.replace

    def fail(path, target):
        if path.name == ".clip.part":
            raise OSError(5, "Input/output error")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="clip cannot be written: Input/output error"):
        write_store(tmp_path / "clip", clips(9), {})
    assert [path.name for path in tmp_path.iterdir()] == ["clip"]
    assert len(set(read_store(tmp_path / "clip").clip_id)) == 2


def test_an_old_store_that_a_killed_run_moved_away_comes_back(tmp_path):
    write_store(tmp_path / "clip", clips(2), {})
    (tmp_path / "clip").rename(tmp_path / ".clip.old")
    with pytest.raises(OSError, match="cannot be written"):
        write_store(tmp_path / "clip", _failing(), {})
    assert len(set(read_store(tmp_path / "clip").clip_id)) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["clip"]


def test_two_who_write_one_store_wait_for_each_other(tmp_path):
    events, begun, both = [], threading.Event(), threading.Event()

    def drawn(name):
        events.append(f"{name} draws")
        begun.set()
        assert both.wait(30)
        yield from clips(3 if name == "a" else 5)
        events.append(f"{name} drew")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(write_store, tmp_path / "clip", drawn("a"), {})
        assert begun.wait(30)
        second = pool.submit(write_store, tmp_path / "clip", drawn("b"), {})
        time.sleep(0.2)  # until the second one waits, or is in the first one's way
        both.set()
        first.result()
        second.result()
    assert events == ["a draws", "a drew", "b draws", "b drew"]
    assert len(set(read_store(tmp_path / "clip").clip_id)) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["clip"]


@pytest.mark.parametrize(("n_processors", "most_waiting"), [(2, 4), (64, 6)])
def test_clips_are_drawn_only_as_fast_as_shards_are_written(
    n_processors, most_waiting, tmp_path, monkeypatch
):
    n_drawn, waiting = 0, []

    def drawn():
        nonlocal n_drawn
        for clip in clips(20):
            n_drawn += 1
            yield clip

    def slow(path, *_):
        time.sleep(0.02)
        waiting.append(n_drawn - len(waiting))

    monkeypatch.setattr(store_writer, "_SHARD_BYTES", 1)
    monkeypatch.setattr(store_writer.joblib, "cpu_count", lambda: n_processors)
    monkeypatch.setattr(store_writer, "_write_shard", slow)
    write_store(tmp_path / "clip", drawn(), {})
    assert len(waiting) == 20
    # Those being written (four at most), one beside them, and one about to be counted.
    assert max(waiting) <= most_waiting


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
