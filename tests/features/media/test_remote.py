"""Clips on an object store, which are those of a folder."""

import os
import pickle
import tempfile
import uuid
from pathlib import Path

import pytest

from features import places
from features.encoders import make_encoder
from features.extraction import extract, index_files
from features.extraction.index import clip_error
from features.extraction.workers import Failure
from features.identity import Sampling
from features.media import remote
from features.media.remote import examine_once, local_file
from features.places import PlaceError, address_of, open_place
from pipeline.clip_ids import find_media
from tests.features.stored import bytes_of
from tests.features.test_places import Shaky


@pytest.fixture
def kept(tmp_path, monkeypatch) -> Path:
    """Where this process and its workers keep what they fetch."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("ERI_CACHE", str(tmp_path / "cache"))
    return tmp_path / f"eri-media-{os.getuid()}"


@pytest.fixture
def clip(kept, monkeypatch) -> Path:
    """A file on a store that may fail."""
    monkeypatch.setattr(places, "_FIRST_PAUSE_S", 0)
    monkeypatch.setattr(Shaky, "faults", [])
    return stored(Path(f"shaky://{uuid.uuid4().hex}/clip.wav"), b"some sound")


def stored(path: Path, content: bytes) -> Path:
    files, where = open_place(address_of(path))
    files.pipe_file(where, content)
    return path


def test_a_run_reads_clips_of_a_bucket_as_those_of_a_folder(make_clip, bucket, kept, tmp_path):
    for name in ("a.mp4", "people/b.mp4"):
        make_clip(f"media/{name}", n_frames=2)
    for name in ("broken.mp4", "notes.txt", ".hidden/c.mp4"):
        file = tmp_path / "media" / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"broken")
    files, where = open_place(f"{bucket}/media")
    files.put(f"{tmp_path}/media/", where, recursive=True)
    encoders = {"sound": make_encoder({"kind": "opensmile", "model": "eGeMAPSv02"})}
    sampling, tables = Sampling(frame_rate_hz=3, sample_rate_hz=16000), []
    for n, folder in enumerate([tmp_path / "media", Path(f"{bucket}/media")]):
        tables.append(index_files(find_media([folder]), progress=False))
        options = {"cache_root": tmp_path / f"cache{n}", "progress": False}
        extract(tables[n], encoders, sampling, tmp_path / f"out{n}", **options)
    assert tables[1]["path"].tolist() == [
        f"{bucket}/media/{n}" for n in ("a.mp4", "broken.mp4", "people/b.mp4")
    ]
    same = tables[0].columns.drop(["path", "error_reason"])
    assert tables[1][same].equals(tables[0][same])
    assert bytes_of(tmp_path / "out1/sound") == bytes_of(tmp_path / "out0/sound")
    assert len(list(kept.iterdir())) == 3
    gone = index_files({"gone": Path(f"{bucket}/gone.mp4")}, progress=False)
    assert gone["error_reason"].tolist() == [f"{bucket}/gone.mp4 is not there, or may not be read"]


def test_a_file_is_fetched_once_until_it_changes(clip, kept):
    examined = []

    def examine(file: Path) -> dict[str, object]:
        examined.append(file.read_bytes())
        return {"n": len(examined)}

    assert [examine_once(clip, examine)["n"] for _ in range(2)] == [1, 1]
    Shaky.faults = ["half"] * 9  # nothing is fetched
    assert (local_file(clip).suffix, local_file(clip).read_bytes()) == (".wav", b"some sound")
    Shaky.faults = ["half"]  # the record is another store's
    stored(clip, b"other sound")
    assert examine_once(clip, examine) == {"n": 2}
    assert examined == [b"some sound", b"other sound"]
    assert len(list(kept.iterdir())) == 2


def test_what_is_used_least_makes_room(clip, kept, monkeypatch):
    monkeypatch.setattr(remote, "MOST_BYTES", 25)
    files = [local_file(stored(clip.with_name(name), b"10 bytes .")) for name in "abcd"]
    assert all(each.exists() for each in files)  # they may be in use
    for n, file in enumerate(files):
        os.utime(file, (n, n))
    local_file(clip)
    assert [each.exists() for each in files] == [False, False, False, True]


def test_half_a_file_is_never_taken_for_a_whole_one(clip):
    Shaky.faults = ["half", RuntimeError("503 Slow Down")]
    assert local_file(clip).read_bytes() == b"some sound"
    stored(clip, b"other sound")
    Shaky.faults = ["half"] * 99
    reason = r"clip.wav cannot be read \(5 of 11 bytes came\)"
    with pytest.raises(PlaceError, match=reason) as caught:
        local_file(clip)
    error = pickle.loads(pickle.dumps(caught.value))
    with pytest.raises(PlaceError):  # which costs the run, not the clip
        clip_error(Failure(str(error), error=error), "read")
