import json
from contextlib import nullcontext
from functools import partial
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from pipeline import cli
from pipeline.predict import Predictor
from pipeline.predict_command import timeline_svg
from tests.media import write_clip
from tests.pipeline.commands import eri
from tests.pipeline.finished_run import TARGETS

predict = partial(eri, "predict")
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def clips(tmp_path):
    folder = tmp_path / "new"
    write_clip(folder / "whole.mp4", n_frames=4, sound_s=0.5)
    write_clip(folder / "silent.mp4", n_frames=4, sound_s=0)
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


@pytest.fixture
def loaded(predictor, finished_run, monkeypatch):
    """Let the command use what is loaded already."""
    monkeypatch.setattr("pipeline.predict.load_bundle", lambda _: nullcontext(predictor))
    return predictor


def test_text_file_and_python_say_the_same(loaded, clips, tmp_path):
    csv = tmp_path / "new/tables/p.csv"  # its folder is made
    shown = predict(clips, "--csv", csv)
    table = loaded.predict(clips)
    pd.testing.assert_frame_equal(
        pd.read_csv(csv, dtype={"clip_id": str}, keep_default_na=True)[TARGETS], table[TARGETS]
    )
    joy = table.set_index("clip_id").loc["whole", "joy"]
    assert f"{joy:.3f}" in shown.stdout
    assert "2 of 3 clips predicted, 1 of them from a part of the encoders" in shown.stdout
    assert "predicted from the rest silent: sound: stream: the clip has no sound" in shown.stdout
    assert "not predicted broken: " in shown.stdout
    assert "Encoders with random weights: tiny" in shown.stdout


def test_json_is_for_machines_and_status_one_says_that_no_clip_could_be_predicted(loaded, clips):
    content = json.loads(predict(clips, "--json").stdout)
    by_id = {each["clip_id"]: each for each in content["clips"]}
    assert content["targets"] == list(by_id["whole"]["intensities"]) == TARGETS
    assert content["random_weights"] == ["tiny"]
    assert by_id["silent"]["missing"] == "sound"
    assert by_id["broken"]["intensities"] is None
    assert "probe" in by_id["broken"]["reasons"]
    assert "0 of 1 clips predicted" in predict(clips / "broken.mp4", status=1).stdout


def test_a_timeline_is_tables_and_pictures(loaded, clips, tmp_path):
    folder, earlier = tmp_path / "over time", tmp_path / "earlier.svg"
    folder.mkdir()
    earlier.write_text("still open in a viewer")
    (folder / "whole.svg").hardlink_to(earlier)
    for name in ("other/silent", "x" * 251):  # an id that is a path, and as long as names may be
        write_clip(clips / f"{name}.mp4", n_frames=4, sound_s=0)
    predict(clips, "--timeline", folder, "--window-s", "0.4", "--hop-s", "0.2")
    names = {path.name for path in folder.iterdir()}
    assert {"timeline.csv", "timeline.parquet", "whole.svg"} < names
    assert len(names) == 2 + 4
    table = pd.read_parquet(folder / "timeline.parquet")
    expected = loaded.timeline(clips, window_s=0.4, hop_s=0.2)
    pd.testing.assert_frame_equal(table, expected, check_dtype=False)
    assert "joy" in (folder / "whole.svg").read_text()
    assert earlier.read_text() == "still open in a viewer"  # replaced, not written into


@pytest.mark.parametrize(("option", "name"), [("--csv", "file/p.csv"), ("--timeline", "file")])
def test_what_cannot_be_written_is_found_before_anything_is_embedded(
    loaded, clips, tmp_path, monkeypatch, option, name
):
    monkeypatch.setattr(Predictor, "embed", lambda *_: pytest.fail("clips were embedded"))
    (tmp_path / "file").touch()
    assert "File exists: " in str(predict(clips, option, tmp_path / name, status=1).exception)


def test_without_a_bundle_it_says_what_to_do(finished_run, clips, tmp_path, capsys, monkeypatch):
    arguments = ["eri", "predict", str(clips), "--bundle", str(tmp_path / "none")]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit, match=r"error: there is no bundle .*none.*dvc repro"):
        cli.main()


def drawn(title, **columns):
    """Texts of a picture, and the paths of its lines."""
    root = ElementTree.fromstring(timeline_svg(title, pd.DataFrame(columns)))
    texts = [each.text for each in root.iter(f"{SVG}text")]
    groups = (each for each in root.iter(f"{SVG}g") if "mark-line" in each.get("class", ""))
    return texts, [path.get("d") for group in groups for path in group.iter(f"{SVG}path")]


def test_every_target_has_a_strip_in_its_order_and_a_gap_breaks_its_line():
    columns = {'<b>j"oy&': [1, 2, np.nan, 3, 4], "ünï": [0.0, 0.0, 1.0, 0.0, 0.0]}
    texts, lines = drawn("<script>alert(1)</script>", time_s=np.arange(5.0), **columns)
    assert [text for text in texts if text in columns] == [*columns]  # in their order, as text
    assert "<script>alert(1)</script>" in texts
    shapes = ["".join(c for c in line if c.isalpha()) for line in lines]
    assert shapes == ["MLML", "MLLLL"]
