import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.imports.findings import Findings
from pipeline.imports.matching import match_files, match_paths, report_matches


@pytest.mark.parametrize(
    ("clip", "file", "differing"),
    [
        ("17", "x/17.mp4", None),
        ("[17]", "17.mp4", "brackets"),
        ("17", "[17].mp4", "brackets"),
        ("17.mp4", "17.mp4", "file ending"),
        ("clip_A", "CLIP_a.MP4", "case"),
        ("17", "00017.mp4", "zero padding"),
        ("s01_e007", "s1_e7.wav", "zero padding"),
    ],
)
def test_spellings(clip, file, differing):
    matches = match_files({clip: clip}, [file, "other.mp4"])
    assert matches.file_of == {clip: file}
    assert list(matches.differing) == ([differing] if differing else [])


def test_the_video_is_preferred_and_two_videos_are_not_chosen_from():
    matches = match_files({"a": "a", "b": "b"}, ["a.wav", "a.mp4", "x/b.mp4", "y/b.mp4"])
    assert matches.file_of == {"a": "a.mp4"}
    assert matches.beside == {"a": ["a.wav"]}
    assert matches.ambiguous == {"b": ["x/b.mp4", "y/b.mp4"]}


def test_ids_that_are_one_when_unpadded_share_no_file():
    matches = match_files({"1": "1", "01": "01"}, ["001.mp4"])
    assert not matches.file_of
    assert set(matches.ambiguous) == {"1", "01"}


def test_paths_come_first():
    matches = match_paths({"a": "x/1.mp4", "b": ".\\y\\1.mp4"}, ["x/1.mp4", "y/1.mp4"])
    assert matches.file_of == {"a": "x/1.mp4", "b": "y/1.mp4"}


@settings(max_examples=50, deadline=None)
@given(st.sets(st.from_regex(r"[a-cA-C0-2]{1,4}", fullmatch=True)), st.data())
def test_no_file_has_two_clips_and_exact_names_win(names, data):
    ids = {name: name for name in names}
    stems = data.draw(st.sets(st.from_regex(r"[a-cA-C0-2]{1,4}", fullmatch=True)))
    matches = match_files(ids, [f"{stem}.mp4" for stem in stems | set(list(names)[:1])])
    assert len(set(matches.file_of.values())) == len(matches.file_of)
    assert not matches.file_of.keys() & matches.ambiguous.keys()
    for name in names & stems:
        assert matches.file_of[name] == f"{name}.mp4"


def test_what_cannot_be_told_apart_keeps_everything_from_being_written():
    files = ["x/b.mp4", "y/b.mp4", "c.mp4"]
    findings = Findings()
    report_matches(match_files({"a": "a", "b": "b"}, files), ["a", "b"], files, findings)
    assert {each.kind: (each.severity, each.examples) for each in findings.all} == {
        "several files fit an id, or several ids a file": ("error", ("b: x/b.mp4 or y/b.mp4",)),
        "labels without media": ("warning", ("a",)),
        "media without labels": ("warning", ("c.mp4",)),
    }
