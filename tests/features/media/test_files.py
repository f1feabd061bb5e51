from pathlib import Path

import pytest

from features.errors import MediaError
from features.media.files import probe
from features.media.frames import read_frames


def test_a_sound_file_is_a_clip_without_video_whatever_its_name(make_clip, monkeypatch):
    path = make_clip("12:30.m4a", n_frames=0)  # a colon makes no protocol
    monkeypatch.chdir(path.parent)
    info = probe(Path(path.name))
    assert (info.has_video, info.has_audio) == (False, True)
    with pytest.raises(MediaError, match="^stream: .*no video"):
        list(read_frames(path, 4))


@pytest.mark.parametrize(
    "content",
    [
        "ffconcat version 1.0\nfile other.mp4\n",
        "ffconcat version 1.0\nfile list.mp4\n",  # itself, and so on without end
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.mp4\n#EXT-X-ENDLIST\n",
    ],
)
@pytest.mark.parametrize("name", ["list.mp4", "list.m3u8"])
def test_what_points_at_other_files_is_no_clip(make_clip, tmp_path, name, content):
    make_clip("other.mp4")
    (tmp_path / name).write_text(content)
    with pytest.raises(MediaError, match="^probe: .*not a media file"):
        probe(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, r"no file .*clip\.mp4"),
        (b"", "the file is empty"),
        (b"not a clip at all", "Invalid data"),
        (bytes(5000), "begins with zeros only"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:1f\nsize 9\n",
            "Git LFS pointer: fetch its content with `git lfs pull`",
        ),
        (b"\n<!DOCTYPE html><title>Sign in</title>" * 20, "a web page"),
        (b"<html>" + bytes(500), "a web page"),
    ],
)
def test_what_is_no_media_file_fails_in_probe_with_a_reason(tmp_path, content, reason):
    path = tmp_path / "clip.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MediaError, match=reason) as caught:
        probe(path)
    assert caught.value.step == ("read" if content is None else "probe")


def test_half_a_download_says_so(make_clip):
    path = make_clip()
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(MediaError, match="index is missing or damaged: .* cut off"):
        probe(path)
