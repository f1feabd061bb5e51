import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.clip_ids import clean_path, find_media, match_files, match_ids
from pipeline.params import ParamsError


@given(st.lists(st.integers(0, 10**6), unique=True), st.integers(0, 8))
def test_ids_of_numbers_match_however_they_are_written(numbers, width):
    wanted = [f"[{number:05d}]" for number in numbers]
    have = [f"{number:0{width}d}.csv" for number in numbers]
    matches = match_ids(wanted, have)
    assert matches.found == dict(zip(wanted, have, strict=True))
    assert (matches.missing, matches.unknown, matches.ambiguous) == ([], [], {})


@pytest.mark.parametrize(("wanted", "have"), [(["1", "01"], ["001"]), (["1"], ["001", "01"])])
def test_ids_that_cannot_be_told_apart_are_said(wanted, have):
    matches = match_ids(wanted, have)
    assert matches.ambiguous == dict.fromkeys(wanted, have)
    assert not matches.found
    of_one_path = match_files({"a": "1.mp4", "b": "1.mp4"}, ["1.mp4"])
    assert of_one_path.found == {"a": "1.mp4", "b": "1.mp4"}


ENDING = "folder or file ending"
LETTERS = "accents, spaces or invisible characters"


@pytest.mark.parametrize(
    ("clip", "file", "differing"),
    [
        ("17", "x/17.mp4", None),
        ("[17]", "17.mp4", "brackets"),
        ("17", "[17].mp4", "brackets"),
        ("17.mp4", "17.mp4", None),
        ("17.mp4", "17.avi", ENDING),
        ("clip_A", "CLIP_a.MP4", "case"),
        ("17", "00017.mp4", "zero padding"),
        ("s01_e007", "s1_e7.wav", "zero padding"),
        ("Zo\u00eb", "Zoe\u0308.mp4", LETTERS),
        ("a\u00a0b\u200b", "a b.mp4", LETTERS),
        ("17.0", "17.mp4", "the way a number is written"),
        ("1e+05", "100000.mp4", "the way a number is written"),
        ("1e5", "1e5.mp4", None),
        ("#17", "17.mp4", "brackets"),
        ("https://h/v/17.mp4?t=1#x", "17.mp4", ENDING),
        ("17.0", "00017.mp4", "zero padding"),
        ("my clip", "My_Clip.mp4", "spaces, _ and -"),
        ("a%20b.mp4", "a b.mp4", ENDING),
        ("file:///C:/x/17.mp4", "17.mp4", ENDING),
        ("17.csv.gz", "17.mp4", ENDING),
        ("z/2.avi", "2.mp4", ENDING),
    ],
)
def test_spellings(clip, file, differing):
    matches = match_files({clip: clean_path(clip)}, [file, "other.mp4"])
    assert matches.found == {clip: file}
    assert list(matches.differing) == ([differing] if differing else [])


@pytest.mark.parametrize(
    ("wanted", "files", "found", "beside", "unknown"),
    [
        ("a b", "a.wav a.mp4 x/b.mp4 y/b.mp4", "a.mp4 -", {"a": ["a.wav"]}, []),
        ("x/1.mp4 y/1.mp4", "x/1.mp4 y/1.mp4", "x/1.mp4 y/1.mp4", {}, []),
        ("1.mp4", "1.mp4 1.wav", "1.mp4", {"1.mp4": ["1.wav"]}, []),
        ("m/1.mp4", "m/1.mp4 w/1.wav m/2.mp4", "m/1.mp4", {"m/1.mp4": ["w/1.wav"]}, ["m/2.mp4"]),
        ("C:/d/x/1.avi C:/d/y/1.avi", "m/x/1.mp4 m/y/1.mp4", "m/x/1.mp4 m/y/1.mp4", {}, []),
        ("1 01", "001.mp4", "- -", {}, []),
    ],
)
def test_the_nearest_path_comes_first_and_videos_before_sound(
    wanted, files, found, beside, unknown
):
    wanted = {clip: clip for clip in wanted.split()}
    for form in ("NFC", "NFD"):
        names = [unicodedata.normalize(form, file) for file in files.split()]
        matches = match_files(wanted, names)
        assert [matches.found.get(clip, "-") for clip in wanted] == found.split()
        assert (matches.beside, matches.unknown) == (beside, unknown)
        assert matches.ambiguous.keys() == wanted.keys() - matches.found.keys()


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


@pytest.mark.parametrize(
    ("files", "ids"),
    [
        (["a/one.mp4", "a/b/two.WAV", "a/notes.txt"], ["one", "two"]),
        (
            ["train/mp4/17.mp4", "train/wav/17.wav", "train/mp4/18.mp4", "x.mp4", "x.wav"],
            ["18", "train/mp4/17", "train/wav/17", "x.mp4", "x.wav"],
        ),
        (["Zoe\u0308.wav"], ["Zo\u00eb"]),
    ],
)
def test_files_are_called_by_their_names_or_else_their_paths(tmp_path, touch, capsys, files, ids):
    touch(*files)
    found = find_media([tmp_path])
    assert sorted(found) == ids
    assert ("left out" in capsys.readouterr().err) == ("a/notes.txt" in files)
    assert find_media([tmp_path, *found.values()]) == found


def test_no_two_files_are_one_clip_and_what_is_not_there_is_said(tmp_path, touch):
    with pytest.raises(ParamsError, match="no file or folder"):
        find_media([tmp_path / "nowhere"])
    with pytest.raises(ParamsError, match="no media file there"):
        find_media([tmp_path])
    touch("one/x.mp4", "one/x.wav", "two/x.mp4", "two/x.mp4.webm", "Zo\u00eb.wav", "Zoe\u0308.wav")
    found = find_media([tmp_path / "one", tmp_path / "two", tmp_path])
    assert sorted(found.values()) == sorted(path for path in tmp_path.rglob("*.*"))
