import doctest
import shutil

import numpy as np
import pytest
from PIL import Image

import pipeline.predict
from features.encoders import EncoderError, make_encoder
from features.encoders.torch_encoder import TorchEncoder
from features.extraction.embedder import Embedder
from features.extraction.worker_process import WorkerProcess
from features.identity import EXTRACTOR_VERSION
from pipeline.bundle import BundleError
from pipeline.params import ParamsError
from pipeline.predict import load_bundle
from tests.media import write_clip
from tests.pipeline.finished_run import TARGETS, predictions


@pytest.fixture
def predictor(finished_run, predictor):
    return predictor


def test_the_example_of_load_bundle_does_what_it_says(finished_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished_run.bundle, "results/bundle")
    shutil.copy(finished_run.folder / "media" / "c24.mp4", "clip.mp4")
    ran = doctest.testmod(pipeline.predict)
    assert (ran.attempted, ran.failed) == (3, 0)


def test_clips_of_the_run_get_their_numbers(finished_run, predictor, monkeypatch):
    """Also the one without sound: a gap is what training made of it."""
    expected = predictions(finished_run)
    table = predictor.predict(finished_run.folder / "media").set_index("clip_id")
    assert table.loc["c25", "missing"] == "sound"
    np.testing.assert_allclose(table.loc[expected.index, TARGETS], expected, atol=1e-5)
    assert expected["joy"].std() > 0.01
    monkeypatch.setattr(Embedder, "embed", lambda *_, **__: None)  # the cache has them
    assert predictor.predict("media").set_index("clip_id")[TARGETS].equals(table[TARGETS])


def test_new_clips_say_what_they_were_predicted_from(predictor, tmp_path):
    for name, kept in {"whole": {}, "silent": {"sound_s": 0}, "heard": {"n_frames": 0}}.items():
        write_clip(tmp_path / f"{name}.mp4", **{"n_frames": 4, "sound_s": 0.5} | kept)
    Image.new("RGB", (32, 32), (200, 10, 10)).save(tmp_path / "picture.png")
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    table = predictor.predict(tmp_path)
    assert table.columns.tolist()[4:-3] == TARGETS
    table = table.set_index("clip_id")
    assert table[["encoders", "missing"]].T.to_dict("list") == {
        "broken": ["", "sound+tiny"],
        "heard": ["sound", "tiny"],
        "picture": ["tiny", "sound"],
        "silent": ["tiny", "sound"],
        "whole": ["sound+tiny", ""],
    }
    assert table.loc["silent", "reasons"] == "sound: stream: the clip has no sound"
    assert "probe" in table.loc["broken", "reasons"]
    predicted = table.index[table[TARGETS].notna().all(axis=1)]
    assert set(predicted) == set(table.index) - {"broken"}


def test_ready_bundles_stand_side_by_side(ready, tmp_path):
    for name, kept in {"whole": {}, "silent": {"sound_s": 0}, "heard": {"n_frames": 0}}.items():
        write_clip(tmp_path / f"new/{name}.mp4", **{"n_frames": 4, "sound_s": 0.5} | kept)
    with load_bundle() as both, load_bundle("voice") as voice:
        table, windows = both.predict("new"), both.timeline("new")
        alone = voice.predict("new")
    named = ["face.joy", "face.fear", "voice.joy", "voice.fear"]
    assert table.columns[4:].tolist() == [*named, "encoders", "missing", "reasons"]
    assert windows.columns.tolist() == ["clip_id", "time_s", *named]
    np.testing.assert_array_equal(table[named[2:]], alone[TARGETS])
    table = table.set_index("clip_id").loc[["whole", "silent", "heard"]]
    there = [[True] * 4, [True, True, False, False], [False, False, True, True]]
    assert table[named].notna().to_numpy().tolist() == there
    assert table.loc["whole", "encoders"] == "face.tiny+voice.sound"
    assert table.loc["silent", "reasons"] == "voice.sound: stream: the clip has no sound"


def test_a_run_s_own_bundle_comes_before_ready_ones(finished_run, ready_folder, monkeypatch):
    monkeypatch.setattr("pipeline.bundle.READY", ready_folder)
    assert load_bundle().targets == load_bundle("results/bundle").targets == TARGETS
    assert list(load_bundle("face").encoders) == ["tiny"]


def test_encoders_and_workers_stay_loaded(finished_run, tmp_path, monkeypatch):
    predictor = load_bundle(finished_run.bundle)
    loaded, started = [], []
    load, start = TorchEncoder.load_model, WorkerProcess.__init__
    monkeypatch.setattr(
        TorchEncoder, "load_model", lambda *args: loaded.append(args) or load(*args)
    )
    monkeypatch.setattr(WorkerProcess, "__init__", lambda *args: started.append(1) or start(*args))
    for number in range(2):
        clip = write_clip(tmp_path / f"{number}.mp4", n_frames=4 + number)
        table = predictor.table(predictor.embed(clip, cache_root=tmp_path / "cache"))
        assert table[TARGETS].notna().all(axis=None)
    assert len(loaded) == len(started) == 1
    predictor.close()
    clip = write_clip(tmp_path / "another.mp4", n_frames=9)
    predictor.table(predictor.embed(clip, cache_root=tmp_path / "cache"))
    assert len(loaded) == len(started) == 2
    predictor.close()


def test_a_clip_that_takes_too_long_is_a_row(finished_run, tmp_path):
    clip = write_clip(tmp_path / "long.mp4", n_frames=3000, size=(64, 64))
    with load_bundle(finished_run.bundle, clip_limit_s=0.05) as predictor:
        table = predictor.table(predictor.embed(clip, cache_root=tmp_path / "cache"))
    assert "tiny: decode: not done within 0.05 s" in table["reasons"][0]
    assert table[TARGETS].isna().all(axis=None)


def test_imported_features_are_of_no_new_clip(finished_run, predictor, monkeypatch):
    monkeypatch.delitem(predictor.encoders, "sound")
    table = predictor.predict(finished_run.folder / "media" / "c24.mp4")
    assert table["reasons"].tolist() == ["sound: stream: imported features: it embeds no new clips"]
    assert table[TARGETS].notna().all(axis=None)


def test_another_encoder_than_in_training_is_refused(finished_run, predictor, monkeypatch):
    spec = predictor.bundles[0].description.encoders["tiny"].spec
    clip = finished_run.folder / "media" / "c24.mp4"
    for change, version, error, said in (
        ({"seed": 1}, EXTRACTOR_VERSION, BundleError, "'tiny' here is not the one.*other weights"),
        ({}, -1, BundleError, "version of the extraction"),
        ({"weights": "no/w.pt"}, EXTRACTOR_VERSION, EncoderError, r"no weights file no/w\.pt"),
    ):
        with monkeypatch.context() as patch:
            patch.setitem(predictor.encoders, "tiny", make_encoder({**spec, **change}))
            patch.setattr("features.identity.EXTRACTOR_VERSION", version)
            with pytest.raises(error, match=said):
                predictor.predict(clip)


def test_nothing_of_a_longer_clip_is_used(predictor, tmp_path):
    for name, n_frames in (("long", 30), ("short", 10)):
        write_clip(
            tmp_path / f"{name}.mp4", n_frames=n_frames, size=(32, 32), sound_s=n_frames / 10
        )
    missing = predictor.embed(tmp_path, max_duration_s=2).missing
    assert list(missing["long"]) == ["sound", "tiny"]
    assert "more than 2 s" in str(missing["long"]["tiny"])
    assert missing["short"] == {}


def test_windows_follow_the_picture_and_one_of_all_is_the_clip(finished_run, predictor, tmp_path):
    clip = finished_run.folder / "media" / "c24.mp4"
    whole, windows = predictor.predict(clip), predictor.timeline(clip, window_s=10)
    np.testing.assert_allclose(windows[TARGETS], whole[TARGETS], atol=1e-6)
    # Grows brighter frame by frame; and one that nothing can be made of.
    clip = write_clip(tmp_path / "long.mp4", n_frames=40, size=(32, 32), sound_s=0.5)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    windows = predictor.timeline([tmp_path], window_s=1, hop_s=0.5)
    long = windows[windows["clip_id"] == "long"]
    assert long["time_s"].tolist() == [0.5, 1, 1.5, 2, 2.5, 3, 3.5]
    assert long["joy"].iloc[-1] > long["joy"].iloc[0]
    assert windows.loc[windows["clip_id"] == "broken", TARGETS].isna().all(axis=None)
    with pytest.raises(ParamsError, match="long says to last 4 s: 200001 windows, more than"):
        predictor.timeline(clip, hop_s=1e-5)
    with pytest.raises(ParamsError, match="positive seconds"):
        predictor.timeline(clip, hop_s=0)
