import json
from contextlib import nullcontext
from functools import partial

import pandas as pd
import pytest

from pipeline import cli
from pipeline.predict import Predictor
from tests.media import write_clip
from tests.pipeline.commands import eri
from tests.pipeline.finished_run import TARGETS

predict = partial(eri, "predict")


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
    for said in (
        f"{table.set_index('clip_id').loc['whole', 'joy']:.3f}",
        "2 of 3 clips predicted, 1 of them from a part of the encoders",
        "predicted from the rest silent: sound: stream: the clip has no sound",
        "not predicted broken: ",
        "Encoders with random weights: tiny",
    ):
        assert said in shown.stdout


def test_json_is_for_machines_and_status_one_says_that_no_clip_could_be_predicted(loaded, clips):
    content = json.loads(predict(clips, "--json").stdout)
    by_id = {each["clip_id"]: each for each in content["clips"]}
    assert content["targets"] == list(by_id["whole"]["intensities"]) == TARGETS
    assert content["random_weights"] == ["tiny"]
    assert by_id["silent"]["missing"] == "sound"
    assert by_id["broken"]["intensities"] is None
    assert "probe" in by_id["broken"]["reasons"]
    assert "0 of 1 clips predicted" in predict(clips / "broken.mp4", status=1).stdout


def test_a_timeline_is_tables(loaded, clips, tmp_path):
    folder, earlier = tmp_path / "over time", tmp_path / "earlier.csv"
    folder.mkdir()
    earlier.write_text("still open in a viewer")
    (folder / "timeline.csv").hardlink_to(earlier)
    predict(clips, "--timeline", folder, "--window-s", "0.4", "--hop-s", "0.2")
    assert {path.name for path in folder.iterdir()} == {"timeline.csv", "timeline.parquet"}
    expected = loaded.timeline(clips, window_s=0.4, hop_s=0.2)
    for table in (
        pd.read_parquet(folder / "timeline.parquet"),
        pd.read_csv(folder / "timeline.csv"),
    ):
        pd.testing.assert_frame_equal(table, expected, check_dtype=False)
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
