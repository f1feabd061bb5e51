"""Which files are media, what is taken of a folder, and what is said of the rest."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from features.errors import MediaError
from features.media.endings import MEDIA_SUFFIXES, list_media_folder
from features.media.files import probe
from features.media.frames import read_frames
from tests.features.odd_media import FILMS, Film, write_film


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
    none = "no regular file, or a link to none"
    assert {path.name: reason for path, reason in found.broken.items()} == {
        ".#lock": none,
        "gone.mp4": none,
        "pipe.mp4": none,
        "two.heic": "not readable for this user",
    }
    assert found.files == (taken[0], folder / "linked" / "three.mts", taken[1])
    assert {path.name for path in found.left_out} == {
        *("README", "gone.mp4", "notes.csv", "pipe.mp4", "table.csv")
    }
    assert f"2 {none} (gone.mp4, ...); 2 with the ending .csv (notes.csv, ...)" in str(found)


VOICE = Film(times_s=())
MANY = {
    "f4v 3gp 3g2 ts m2ts mts": Film(),
    "flv": Film(sound_codec="libmp3lame", rate_hz=44100),
    "mpg vob": Film(codec="mpeg2video", sound_codec="mp2", rate_hz=44100),
    "wmv": Film(codec="wmv2", sound_codec="libmp3lame"),
    "gif": FILMS["animated.gif"],
    "aac m4b": VOICE,
    "mka oga": replace(VOICE, sound_codec="flac"),
    "opus": replace(VOICE, sound_codec="libopus"),
    "aiff": replace(VOICE, sound_codec="pcm_s16be"),
    "caf": replace(VOICE, sound_codec="pcm_s16le"),
    # No header says how long these are.
    "webm": Film(codec="libvpx", sound_codec="libopus", options={"live": "1"}),
    "mkv": Film(options={"live": "1"}),
    "h264": Film(tuple(k / 25 for k in range(50)), sound_s=0),
    "mp3": replace(VOICE, sound_codec="libmp3lame", options={"write_xing": "0"}),
}


@pytest.mark.parametrize(
    ("ending", "film"), [(each, film) for endings, film in MANY.items() for each in endings.split()]
)
def test_files_of_many_endings_are_read(tmp_path, ending, film):
    assert f".{ending}" in MEDIA_SUFFIXES
    path = write_film(tmp_path / f"clip.{ending}", film)
    info = probe(path)
    assert (info.has_video, info.has_audio) == (bool(film.times_s), bool(film.sound_s))
    assert info.duration_s == pytest.approx(2, abs=0.25)
    assert ending != "f4v" or info.frame_rate_hz == pytest.approx(10, rel=0.01)
    if film.times_s:
        assert 7 <= len(list(read_frames(path, 5))) <= 11  # MPEG-2 has no 10 frames a second


def test_a_name_with_a_colon_is_no_protocol(make_clip, monkeypatch):
    path = make_clip("12:30.m4a", n_frames=0)
    monkeypatch.chdir(path.parent)
    assert not probe(Path(path.name)).has_video
    with pytest.raises(MediaError, match="^stream: .*no video"):
        list(read_frames(Path(path.name), 4))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, r"^read: .*no file .*clip\.mp4"),
        (b"", "^probe: .*the file is empty"),
        (b"not a clip at all", "^probe: not a media file .*Invalid data"),
        (bytes(5000), "begins with zeros only"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1f\nsize 9\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><title>Sign in</title>" * 20, "a web page"),
        (b"<html>" + bytes(500), "a web page"),
        # What points at other files, or at itself without end.
        (b"ffconcat version 1.0\nfile other.mp4\n", "^probe: .*not a media file"),
        (b"ffconcat version 1.0\nfile clip.mp4\n", "^probe: .*not a media file"),
        (b"#EXTM3U\n#EXTINF:1,\nother.mp4\n#EXT-X-ENDLIST\n", "^probe: .*not a media file"),
    ],
)
@pytest.mark.parametrize("name", ["clip.mp4", "clip.m3u8"])
def test_what_is_no_media_file_fails_in_probe_with_a_reason(make_clip, name, content, reason):
    path = make_clip("other.mp4").with_name(name)
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MediaError, match=reason.replace("mp4", name[5:])):
        probe(path)


def test_half_a_download_says_so(make_clip):
    path = make_clip()
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(MediaError, match="index is missing or damaged: .* cut off"):
        probe(path)
