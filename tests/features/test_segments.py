import errno
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.segments import Embedding, SegmentWriter, read_record, scan_segment


def embedding(n_rows: int = 3, seed: int = 0, dtype: str = "float16") -> Embedding:
    values = np.random.default_rng(seed).normal(size=(n_rows, 4)).astype(dtype)
    return Embedding(np.arange(n_rows) / 2, values)


def same(a: Embedding, b: Embedding) -> bool:
    equal = np.array_equal(a.time_s, b.time_s) and np.array_equal(a.values, b.values)
    return equal and a.face_share == b.face_share and a.values.dtype == b.values.dtype


def write(folder: Path, n_appends: int = 4) -> tuple[Path, dict[str, Embedding]]:
    writer = SegmentWriter(folder)
    written = {}
    for k in range(n_appends):
        some = {f"clip{k}{part}": embedding(k + 1, 10 * k + part) for part in range(2)}
        writer.append(some)
        written |= some
    (path,) = folder.glob("*.arrows")
    return path, written


def readable(path: Path) -> dict[str, Embedding]:
    found = {clip: read_record(place) for clip, place in scan_segment(path).places}
    return {clip: each for clip, each in found.items() if each is not None}


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("face_share", [None, 0.25])
def test_what_is_appended_is_read_back(tmp_path, dtype, face_share):
    writer = SegmentWriter(tmp_path)
    kept = {f"c{k}": embedding(k + 1, k, dtype)._replace(face_share=face_share) for k in range(3)}
    places = dict(writer.append(kept))
    assert all(same(read_record(places[clip]), each) for clip, each in kept.items())
    (path,) = tmp_path.glob("*.arrows")
    assert dict(scan_segment(path).places) == places
    assert scan_segment(path).n_lost_bytes == 0


def test_any_arrow_reader_opens_a_segment(tmp_path):
    path, written = write(tmp_path)
    table = pa.ipc.open_stream(path.read_bytes()).read_all()
    assert table["clip_sha256"].to_pylist() == list(written)


def test_a_full_segment_is_followed_by_another(tmp_path, monkeypatch):
    monkeypatch.setattr("features.segments.SEGMENT_BYTES", 100)
    writer = SegmentWriter(tmp_path)
    for k in range(3):
        writer.append({f"c{k}": embedding()})
    assert len(list(tmp_path.glob("*.arrows"))) == 3


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 1))
def test_a_segment_cut_anywhere_keeps_the_records_before(tmp_path_factory, share):
    path, written = write(tmp_path_factory.mktemp("cut"))
    content = path.read_bytes()
    reader = pa.BufferReader(content)
    pa.ipc.read_schema(reader)
    boundaries = {0, reader.tell(), *(place.end for _, place in scan_segment(path).places)}
    cut = round(share * len(content))
    path.write_bytes(content[:cut])
    found = readable(path)
    assert all(same(found[clip], written[clip]) for clip in found)
    # Whole batches of two clips are kept, and a rest is noticed.
    assert list(found) == list(written)[: len(found)]
    assert len(found) % 2 == 0
    assert (scan_segment(path).n_lost_bytes == 0) == (cut in boundaries)


@settings(max_examples=150, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_a_flipped_byte_never_gives_wrong_numbers(tmp_path_factory, place, flip):
    path, written = write(tmp_path_factory.mktemp("flip"))
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= flip
    path.write_bytes(content)
    for clip, found in readable(path).items():
        assert same(found, written[clip])


def test_a_full_disk_leaves_the_segment_as_it_was(tmp_path, monkeypatch):
    writer = SegmentWriter(tmp_path)
    writer.append({"a": embedding(seed=1)})
    (mine,) = tmp_path.glob("*.arrows")
    before = mine.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", _opens_on_a_disk_with_room_for(5))
        with pytest.raises(OSError, match="No space left"):
            writer.append({"b": embedding(seed=2)})
    assert mine.read_bytes() == before
    writer.append({"b": embedding(seed=2)})
    assert list(readable(mine)) == ["a", "b"]


def _opens_on_a_disk_with_room_for(n_bytes: int):
    real = Path.open

    class Full:
        def __init__(self, file) -> None:
            self._file = file
            self._room = n_bytes

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self._file.close()

        def write(self, content) -> int:
            if not self._room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            n = self._file.write(bytes(content[: self._room]))
            self._room -= n
            return n

        def truncate(self, size: int) -> None:
            self._file.truncate(size)

    return lambda path, *args, **kwargs: Full(real(path, *args, **kwargs))
