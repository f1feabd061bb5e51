import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.clip_ids import canonical_id, find_media, match_files, match_ids
from pipeline.params import ParamsError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[00017]", "17"),
        ("train/mp4/00017.MP4", "17"),
        (" 17 ", "17"),
        ("Clip_007", "clip_7"),
        ("v1.5", "v1.5"),
        ("00000", "0"),
        ("17.0", "17"),
        ("Clip-007", "clip_7"),
        ("Zoe\u0308", "zo\u00eb"),
        ("100", "100"),
    ],
)
def test_what_differs_between_files_is_left_out(text, expected):
    assert canonical_id(text) == expected
    assert canonical_id(expected) == expected


@given(st.lists(st.integers(0, 10**6), unique=True), st.integers(0, 8))
def test_ids_of_numbers_match_however_they_are_written(numbers, width):
    wanted = [f"[{number:05d}]" for number in numbers]
    have = [f"{number:0{width}d}.csv" for number in numbers]
    matches = match_ids(wanted, have)
    assert matches.found == dict(zip(wanted, have, strict=True))
    assert (matches.missing, matches.unknown, matches.ambiguous) == ([], [], {})


def test_equal_ids_match_before_alike_ones():
    matches = match_ids(["1", "01", "x"], ["01", "1", "y"])
    assert matches.found == {"1": "1", "01": "01"}
    assert (matches.missing, matches.unknown, matches.ambiguous) == (["x"], ["y"], {})


@pytest.mark.parametrize(("wanted", "have"), [(["1", "01"], ["001"]), (["1"], ["001", "01"])])
def test_ids_that_cannot_be_told_apart_are_said(wanted, have):
    matches = match_ids(wanted, have)
    assert matches.ambiguous == dict.fromkeys(wanted, have)
    assert not matches.found


@pytest.mark.parametrize(
    ("clip", "file", "differing"),
    [
        ("17", "x/17.mp4", None),
        ("[17]", "17.mp4", "brackets"),
        ("17", "[17].mp4", "brackets"),
        ("17.mp4", "17.mp4", None),
        ("17.mp4", "17.avi", "folder or file ending"),
        ("clip_A", "CLIP_a.MP4", "case"),
        ("17", "00017.mp4", "zero padding"),
        ("s01_e007", "s1_e7.wav", "zero padding"),
        ("Zo\u00eb", "Zoe\u0308.mp4", "accents, spaces or invisible characters"),
        ("a\u00a0b\u200b", "a b.mp4", "accents, spaces or invisible characters"),
        ("17.0", "17.mp4", "a .0 behind the number"),
        ("17.0", "00017.mp4", "zero padding"),
        ("my clip", "My_Clip.mp4", "spaces, _ and -"),
        ("a%20b.mp4", "a b.mp4", "folder or file ending"),
        ("file:///C:/x/17.mp4", "17.mp4", "folder or file ending"),
        ("17.csv.gz", "17.mp4", "folder or file ending"),
    ],
)
def test_spellings(clip, file, differing):
    matches = match_files({clip: clip}, [file, "other.mp4"])
    assert matches.found == {clip: file}
    assert list(matches.differing) == ([differing] if differing else [])


def test_the_video_is_preferred_and_two_videos_are_not_chosen_from():
    matches = match_files({"a": "a", "b": "b"}, ["a.wav", "a.mp4", "x/b.mp4", "y/b.mp4"])
    assert matches.found == {"a": "a.mp4"}
    assert matches.beside == {"a": ["a.wav"]}
    assert matches.ambiguous == {"b": ["x/b.mp4", "y/b.mp4"]}


def test_ids_that_are_one_when_unpadded_share_no_file():
    matches = match_files({"1": "1", "01": "01"}, ["001.mp4"])
    assert not matches.found
    assert set(matches.ambiguous) == {"1", "01"}


def test_paths_come_first():
    matches = match_files(
        {"a": "x/1.mp4", "b": "y/1.mp4", "c": "z/2.avi"}, ["x/1.mp4", "y/1.mp4", "2.mp4", "2.wav"]
    )
    assert matches.found == {"a": "x/1.mp4", "b": "y/1.mp4", "c": "2.mp4"}
    assert matches.differing == {"folder or file ending": {"c": "2.mp4"}}
    assert (matches.beside, matches.unknown) == ({"c": ["2.wav"]}, [])


@pytest.mark.parametrize("folder", ["C:/data/{}", "/home/me/{}", "{}"])
def test_files_of_one_name_are_told_apart_by_their_folders(folder):
    people = ["Zo\u00eb", "Bob"]
    paths = {p: folder.format(f"{p}/01.avi") for p in people}
    files = [unicodedata.normalize("NFD", f"media/{p}/01.mp4") for p in people]
    assert match_files(paths, files).found == dict(zip(people, files, strict=True))


def test_files_of_the_same_name_lie_beside_one_found_by_its_path():
    matches = match_files({"a": "mp4/1.mp4"}, ["mp4/1.mp4", "wav/1.wav", "mp4/2.mp4"])
    assert matches.found == {"a": "mp4/1.mp4"}
    assert (matches.beside, matches.unknown) == ({"a": ["wav/1.wav"]}, ["mp4/2.mp4"])
    assert not matches.differing


@settings(max_examples=50, deadline=None)
@given(st.sets(st.from_regex(r"[a-cA-C0-2]{1,4}", fullmatch=True)), st.data())
def test_no_file_has_two_clips_and_exact_names_win(names, data):
    ids = {name: name for name in names}
    stems = data.draw(st.sets(st.from_regex(r"[a-cA-C0-2]{1,4}", fullmatch=True)))
    matches = match_files(ids, [f"{stem}.mp4" for stem in stems | set(list(names)[:1])])
    assert len(set(matches.found.values())) == len(matches.found)
    assert not matches.found.keys() & matches.ambiguous.keys()
    for name in names & stems:
        assert matches.found[name] == f"{name}.mp4"


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


def test_ids_are_composed_and_files_that_differ_only_therein_stay_two(tmp_path, capsys):
    composed, apart = (unicodedata.normalize(form, "Zoë") for form in ("NFC", "NFD"))
    for name in (f"one/{apart}.wav", f"two/{composed}.wav", f"two/{apart}.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_media([tmp_path / "one"]) == {composed: tmp_path / f"one/{apart}.wav"}
    both = find_media([tmp_path / "two"])
    assert sorted(both.values()) == sorted((tmp_path / "two").iterdir())
    assert "2 files share their name with another" in capsys.readouterr().err


def test_the_same_file_twice_is_one_clip(tmp_path):
    path = tmp_path / "x.mp4"
    path.touch()
    assert find_media([tmp_path, path]) == {"x": path}


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(ParamsError, match="no file or folder"):
        find_media([tmp_path / "nowhere"])
    with pytest.raises(ParamsError, match="no media file there"):
        find_media([tmp_path])
