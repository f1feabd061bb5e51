import pytest

from features.clip_reader import ClipReader
from features.store import StoreError
from features.store_writer import write_store
from tests.features.stored import clips, same


def test_clips_are_read_in_any_order(tmp_path):
    written = clips(face_share=0.5)
    write_store(tmp_path / "s", written, {"level": "frame"})
    reader = ClipReader(tmp_path / "s")
    assert (reader.dimension, reader.metadata) == (3, {"level": "frame"})
    assert reader.clip_ids == [clip.clip_id for clip in written]
    assert "c99" not in reader
    for clip in reversed(written):
        read = reader.read(clip.clip_id)
        assert read.sha256 == clip.sha256
        assert same(read.embedding, clip.embedding)


def test_what_is_no_store_is_said(tmp_path):
    with pytest.raises(StoreError, match="no feature store at"):
        ClipReader(tmp_path / "gone")
