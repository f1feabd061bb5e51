import shutil

import pandas as pd

from pipeline.imports.findings import Findings
from pipeline.imports.probing import probe_files


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
    found = {each.kind: each.examples for each in findings.all}
    assert found.pop("unreadable files")[0].startswith("torn: not a media file")
    assert found.pop("durations out of line")[0].startswith("long: 6.")
    assert found == {
        "files without video": ("voice", "other"),
        "files without sound": ("mute",),
        "identical files in several splits": ("a = copy = again", "voice = other"),
    }
    assert all(each.severity == "warning" for each in findings.all)
