import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.clip_ids import canonical_id, match_files, match_ids, match_paths


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
        ("17.mp4", "17.mp4", "folder or file ending"),
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
    matches = match_paths(
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
    assert match_paths(paths, files).found == dict(zip(people, files, strict=True))


def test_files_of_the_same_name_lie_beside_one_found_by_its_path():
    matches = match_paths({"a": "mp4/1.mp4"}, ["mp4/1.mp4", "wav/1.wav", "mp4/2.mp4"])
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
