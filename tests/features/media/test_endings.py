import os

import pytest

from features.media.endings import MEDIA_SUFFIXES, list_media_folder
from features.media.files import probe
from features.media.frames import read_frames
from tests.features.odd_media import Film, write_film


def test_what_is_taken_of_a_folder_and_what_is_left_out_why(tmp_path, monkeypatch):
    folder, elsewhere = tmp_path / "clips", tmp_path / "elsewhere"
    for path in (folder / "a", folder / ".hidden", elsewhere):
        path.mkdir(parents=True)
    taken = [folder / "a" / "one.FLV", folder / "two.heic"]
    for path in [*taken, elsewhere / "three.mts", folder / ".hidden" / "x.mp4", folder / "._x.mp4"]:
        path.touch()
    for name in ("table.csv", "notes.csv", "README"):
        (folder / name).touch()
    (folder / "linked").symlink_to(elsewhere)
    (elsewhere / "round").symlink_to(folder)
    (folder / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    (folder / ".#lock").symlink_to("me@host")
    os.mkfifo(folder / "pipe.mp4")
    monkeypatch.setattr(os, "access", lambda path, _: path.name != "two.heic")
    found = list_media_folder(folder)
    assert {path.name: reason for path, reason in found.broken.items()} == {
        ".#lock": "linked to a file that is not there",
        "gone.mp4": "linked to a file that is not there",
        "pipe.mp4": "no regular file",
        "two.heic": "not readable for this user",
    }
    assert found.files == (taken[0], folder / "linked" / "three.mts", taken[1])
    assert {path.name: reason for path, reason in found.left_out.items()} == {
        "README": "without an ending",
        "gone.mp4": "linked to a file that is not there",
        "notes.csv": "with the ending .csv",
        "pipe.mp4": "no regular file",
        "table.csv": "with the ending .csv",
    }
    assert "2 with the ending .csv (notes.csv, ...); 1 no regular file (pipe.mp4)" in str(found)


FLV = Film(sound_codec="libmp3lame", rate_hz=44100)
MPEG = Film(codec="mpeg2video", sound_codec="mp2", rate_hz=44100)


@pytest.mark.parametrize(
    ("name", "film"),
    [
        ("clip.flv", FLV),
        ("clip.f4v", Film()),
        ("clip.3gp", Film()),
        ("clip.3g2", Film()),
        ("clip.ts", Film()),
        ("clip.m2ts", Film()),
        ("clip.mts", Film()),
        ("clip.mpg", MPEG),
        ("clip.vob", MPEG),
        ("clip.wmv", Film(codec="wmv2", sound_codec="libmp3lame")),
        ("clip.gif", Film(codec="gif", pixels="rgb8", sound_s=0)),
        ("clip.mka", Film(times_s=(), sound_codec="flac")),
        ("clip.aac", Film(times_s=())),
        ("clip.m4b", Film(times_s=())),
        ("clip.oga", Film(times_s=(), sound_codec="flac")),
        ("clip.opus", Film(times_s=(), sound_codec="libopus")),
        ("clip.aiff", Film(times_s=(), sound_codec="pcm_s16be")),
        ("clip.caf", Film(times_s=(), sound_codec="pcm_s16le")),
        # No header says how long these are.
        ("live.webm", Film(codec="libvpx", sound_codec="libopus", options={"live": "1"})),
        ("live.mkv", Film(options={"live": "1"})),
        ("raw.h264", Film(tuple(k / 25 for k in range(50)), sound_s=0)),
        ("clip.mp3", Film(times_s=(), sound_codec="libmp3lame", options={"write_xing": "0"})),
    ],
)
def test_files_of_many_endings_are_read(tmp_path, name, film):
    assert f".{name.split('.')[1]}" in MEDIA_SUFFIXES
    path = write_film(tmp_path / name, film)
    info = probe(path)
    assert info.has_video == bool(film.times_s)
    assert info.has_audio == bool(film.sound_s)
    assert info.duration_s == pytest.approx(2, abs=0.25)
    if name == "clip.f4v":
        assert info.frame_rate_hz == pytest.approx(10, rel=0.01)
    if film.times_s:
        assert 7 <= len(list(read_frames(path, 5))) <= 11  # MPEG-2 has no 10 frames a second
