import pytest

from pipeline.files import find_media
from pipeline.params import ParamsError


def test_folders_stand_for_the_media_files_below_them(tmp_path):
    for name in ("a/one.mp4", "a/b/two.WAV", "a/notes.txt", "three.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = find_media([tmp_path / "a", tmp_path / "three.png"])
    assert sorted(found) == ["one", "three", "two"]


def test_two_files_of_one_name_are_refused(tmp_path):
    (tmp_path / "x.mp4").touch()
    (tmp_path / "x.wav").touch()
    with pytest.raises(ParamsError, match="both be the clip 'x'"):
        find_media([tmp_path])


def test_the_same_file_twice_is_one_clip(tmp_path):
    path = tmp_path / "x.mp4"
    path.touch()
    assert find_media([tmp_path, path]) == {"x": path}


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(ParamsError, match="no file or folder"):
        find_media([tmp_path / "nowhere"])
    with pytest.raises(ParamsError, match="no media file there"):
        find_media([tmp_path])
