import numpy as np
import pytest

from features import store_writer
from features.clip_reader import ClipReader
from features.segments import Embedding
from features.store import StoredClip, StoreError
from features.store_writer import write_store


@pytest.mark.parametrize("shard_bytes", [1, 100, 2**28])
@pytest.mark.parametrize("row_group_bytes", [1, 60, 2**24])
def test_clips_are_read_in_any_order(tmp_path, monkeypatch, shard_bytes, row_group_bytes):
    monkeypatch.setattr(store_writer, "_SHARD_BYTES", shard_bytes)
    monkeypatch.setattr(store_writer, "_ROW_GROUP_BYTES", row_group_bytes)
    rng = np.random.default_rng(0)
    written = [
        StoredClip(
            f"c{k}",
            f"digest{k}",
            Embedding(np.arange(n) / 4, rng.normal(size=(n, 3)).astype(np.float32), k / 12),
        )
        for k, n in enumerate(rng.integers(1, 9, 12))
    ]
    write_store(tmp_path / "s", written, {"level": "frame"})
    reader = ClipReader(tmp_path / "s")
    assert (reader.dimension, reader.metadata) == (3, {"level": "frame"})
    assert reader.clip_ids == [clip.clip_id for clip in written]
    assert "c3" in reader
    assert "c99" not in reader
    for clip in reversed(written):
        read = reader.read(clip.clip_id)
        assert read.sha256 == clip.sha256
        assert np.array_equal(read.embedding.time_s, clip.embedding.time_s)
        assert np.array_equal(read.embedding.values, clip.embedding.values)
        assert read.embedding.face_share == clip.embedding.face_share


def test_what_is_no_store_is_said(tmp_path):
    with pytest.raises(StoreError, match="no feature store at"):
        ClipReader(tmp_path / "gone")
    (tmp_path / "part-00000.parquet").write_text("no parquet")
    with pytest.raises(StoreError, match="is not a feature store, or it is damaged"):
        ClipReader(tmp_path)
