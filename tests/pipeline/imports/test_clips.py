import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.findings import Findings
from pipeline.imports.clips import LabelSource, labelled_clips, probe_files

SPLITS = ["Train", "Train", "Val", "Val", "Test"]


def found(joy: list[str | None]) -> dict[str, str]:
    """Check five clips with these labels; return the severity of each finding about labels."""
    table = pd.DataFrame(
        {"clip_id": list("abcde"), "path": list("abcde"), "split": SPLITS, "joy": joy},
        dtype="string",
    )
    table["group"] = table["clip_id"]
    findings = Findings()
    labelled_clips(LabelSource(table, ("joy",), Path("nowhere")), findings)
    return {
        each.kind: each.severity
        for each in findings.all
        if ("labels" in each.kind and "media" not in each.kind) or "a label" in each.kind
    }


@pytest.mark.parametrize(
    ("joy", "expected"),
    [
        (["0", "1", "0.5", "1", "0"], {}),
        (["0", "1", "0.5", "1", None], {"Test clips without labels": "note"}),
        (["0", "1", None, None, "1"], {"Val clips without labels": "warning"}),
        (
            [None, None, "0", "1", "1"],
            {"Train clips without labels": "warning", "targets without a label in Train": "error"},
        ),
    ],
)
def test_what_lacks_labels_is_found_by_split(joy, expected):
    assert found(joy) == expected


@pytest.mark.parametrize(
    ("scale", "joy", "expected"),
    [
        (None, ["0.1", "0.2", "-1", "0.5", "1"], [0.1, 0.2, None, 0.5, 1]),
        (None, ["0.1", "0.2", "-9.99", "0.5", "0.7"], [0.1, 0.2, None, 0.5, 0.7]),
        ("seen", ["10", "20", "-1", "50", "-1"], [0, 0.25, None, 1, None]),
        ("seen", ["-1", "0", "1", "0", "-1"], [0, 0.5, 1, 0.5, 0]),
        ("seen", ["-9", "-5", "0", "5", "9"], [0, 4 / 18, 0.5, 14 / 18, 1]),
        ("seen", ["1", "2", "-2147483648", "5", "1"], "far off the rest"),
        ((1, 5), ["1", "99.0", "-1", "5", "888"], [0, None, None, 1, None]),
        ((-1, 1), ["-1", "0", "1", "0", "-1"], [0, 0.5, 1, 0.5, 0]),
        ((0, 100), ["99", "0", "1", "2", "100"], [0.99, 0, 0.01, 0.02, 1]),
        ((1, 5), ["1", "2", "-2147483648", "5", "1"], "c: -2147483648"),
    ],
)
def test_a_code_for_no_answer_is_no_rating_and_no_end_of_a_scale(scale, joy, expected):
    table = pd.DataFrame({"clip_id": list("abcde"), "split": SPLITS, "joy": joy}, dtype="string")
    findings = Findings()
    labels, _ = labelled_clips(LabelSource(table, ("joy",), Path("nowhere")), findings, scale)
    errors = [f"{each.kind} {each.items}" for each in findings.all if each.severity == "error"]
    errors = [each for each in errors if each.startswith("joy")]
    if isinstance(expected, str):
        assert expected in "\n".join(errors)
        return
    assert not errors
    assert labels["joy"].tolist() == pytest.approx(np.array(expected, float), nan_ok=True)
    codes = [each.items for each in findings.all if "code for no answer" in each.kind]
    blank = [
        f"{clip}: {cell}" for clip, cell, v in zip("abcde", joy, expected, strict=True) if v is None
    ]
    assert codes == ([blank] if blank else [])


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
    findings = Findings()
    probe_files(labels, tmp_path, findings)
    found = {each.kind: each.items for each in findings.all}
    assert found.pop("unreadable files")[0].startswith("torn: not a media file")
    assert found.pop("durations out of line")[0].startswith("long: 6.")
    assert found == {
        "files without video": ["voice", "other"],
        "files without sound": ["mute"],
        "identical files in several splits": ["a = copy = again", "voice = other"],
    }
    assert all(each.severity == "warning" for each in findings.all)
