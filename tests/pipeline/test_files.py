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


def test_files_of_one_name_are_told_apart_by_their_paths(tmp_path, capsys):
    names = ["train/mp4/00017.mp4", "train/wav/00017.wav", "train/mp4/00018.mp4", "x.mp4", "x.wav"]
    other = ["train/mp4/00017.mkv", "x.mp4.webm"]
    for folder, files in {"hume": names, "other": other}.items():
        for name in files:
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    found = find_media([tmp_path / "hume"])
    assert {
        clip_id: path.relative_to(tmp_path / "hume").as_posix() for clip_id, path in found.items()
    } == {
        "train/mp4/00017": "train/mp4/00017.mp4",
        "00018": "train/mp4/00018.mp4",
        "train/wav/00017": "train/wav/00017.wav",
        "x.mp4": "x.mp4",
        "x.wav": "x.wav",
    }
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "4 files share their name with another" in said
    assert "'train/mp4/00017'" in said
    both = find_media([tmp_path / "hume", tmp_path / "other"])
    assert sorted(both.values()) == sorted(path for path in tmp_path.rglob("*.*") if path.is_file())
    assert find_media([tmp_path / "hume" / "train" / "mp4"]).keys() == {"00017", "00018"}


def test_the_same_file_twice_is_one_clip(tmp_path):
    path = tmp_path / "x.mp4"
    path.touch()
    assert find_media([tmp_path, path]) == {"x": path}


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(ParamsError, match="no file or folder"):
        find_media([tmp_path / "nowhere"])
    with pytest.raises(ParamsError, match="no media file there"):
        find_media([tmp_path])
