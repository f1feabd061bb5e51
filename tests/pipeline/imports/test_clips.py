import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.findings import Findings
from pipeline.imports.clips import LabelSource, labelled_clips

SPLITS = ["Train", "Train", "Val", "Val", "Test"]


def checked(joy: list[str | None], scale=None) -> tuple[pd.Series, dict]:
    """Check five clips with these labels; return the labels, and findings about them by kind."""
    table = pd.DataFrame({"clip_id": list("abcde"), "split": SPLITS, "joy": joy}, dtype="string")
    findings = Findings()
    labels, _ = labelled_clips(LabelSource(table, ("joy",), Path("nowhere")), findings, scale)
    return labels["joy"], {each.kind: each for each in findings.all}


LACKING = {
    "nothing": (["0", "1", "0.5", "1", "0"], {}),
    "Test": (["0", "1", "0.5", "1", None], {"Test clips without labels": "note"}),
    "Val": (["0", "1", None, None, "1"], {"Val clips without labels": "warning"}),
    "Train": (
        [None, None, "0", "1", "1"],
        {"Train clips without labels": "warning", "targets without a label in Train": "error"},
    ),
}


@pytest.mark.parametrize("what", LACKING)
def test_what_lacks_labels_is_found_by_split(what):
    joy, expected = LACKING[what]
    found = {kind: each.severity for kind, each in checked(joy)[1].items()}
    assert {kind: found[kind] for kind in found if " label" in kind} == expected


@pytest.mark.parametrize(
    ("scale", "joy", "expected"),
    [
        (None, ["0.1", "0.2", "-1", "0.5", "1"], [0.1, 0.2, None, 0.5, 1]),
        (None, ["0.1", "0.2", "-9.99", "0.5", "0.7"], [0.1, 0.2, None, 0.5, 0.7]),
        ("seen", ["10", "20", "-1", "50", "-1"], [0, 0.25, None, 1, None]),
        ("seen", ["-1", "0", "1", "0", "-1"], [0, 0.5, 1, 0.5, 0]),
        ("seen", ["-9", "-5", "0", "5", "9"], [0, 4 / 18, 0.5, 14 / 18, 1]),
        ("seen", ["1", "2", "-2147483648", "5", "1"], "joy far off the rest"),
        ("seen", ["50", "60", "55", "99", "50"], [0, 10 / 49, 5 / 49, 1, 0]),
        ((1, 5), ["1", "99.0", "-1", "5", "888"], [0, None, None, 1, None]),
        ((-1, 1), ["-1", "0", "1", "0", "-1"], [0, 0.5, 1, 0.5, 0]),
        ((0, 100), ["99", "0", "1", "2", "100"], [0.99, 0, 0.01, 0.02, 1]),
        ((1, 5), ["1", "2", "-2147483648", "5", "1"], "joy outside [0, 1]"),
        (None, ["0", "0.2", "inf", "0.5", "1"], "joy outside [0, 1]"),
        (None, ["0", "0.2", "100", "0.5", "1"], "joy outside [0, 1]"),
    ],
)
def test_a_code_for_no_answer_is_no_rating_and_no_end_of_a_scale(scale, joy, expected):
    labels, found = checked(joy, scale)
    found = {kind: each for kind, each in found.items() if kind.startswith("joy")}
    errors = {kind: each.items for kind, each in found.items() if each.severity == "error"}
    if isinstance(expected, str):
        assert errors[expected] == [f"c: {joy[2]}"]
        return
    assert not errors
    assert labels.tolist() == pytest.approx(np.array(expected, float), nan_ok=True)
    cells = zip("abcde", joy, expected, strict=True)
    blank = [f"{clip}: {cell}" for clip, cell, value in cells if value is None]
    codes = found.get("joy like a code for no answer")
    assert (codes.items if codes else []) == blank


def test_what_the_files_themselves_show_is_found(make_clip, tmp_path):
    make_clip("a.mp4")
    make_clip("long.mp4", n_frames=60, sound_s=6.0)
    make_clip("voice.mp4", n_frames=0)
    make_clip("mute.mp4", n_frames=11, sound_s=0)
    (tmp_path / "torn.mp4").write_bytes(b"no video")
    shutil.copy(tmp_path / "a.mp4", tmp_path / "copy.mp4")
    shutil.copy(tmp_path / "voice.mp4", tmp_path / "other.mp4")
    names = ["a", "copy", "long", "voice", "other", "mute", "torn"]
    labels = pd.DataFrame({"clip_id": names, "path": [f"{name}.mp4" for name in names]})
    labels["split"] = ["Train", "Train", "Train", "Train", "Val", "Val", "Test"]
    labels.loc[len(labels)] = ["again", "a.mp4", "Test"]
    labels = labels.assign(group=labels["clip_id"], joy="0.5").astype("string")
    findings = Findings()
    labelled_clips(LabelSource(labels, ("joy",), tmp_path), findings, probe=True)
    found = {each.kind: each.items for each in findings.all if each.kind != "constant targets"}
    assert found.pop("unreadable files")[0].startswith("torn: not a media file")
    assert found.pop("durations out of line")[0].startswith("long: 6.")
    assert found == {
        "files without video": ["voice", "other"],
        "files without sound": ["mute"],
        "identical files in several splits": ["a = copy = again", "voice = other"],
    }
    assert not findings.have_errors
