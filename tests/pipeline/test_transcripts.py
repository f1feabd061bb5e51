"""Words from a video to its prediction: transcripts, their encoders, and bundles that hear."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline import stages
from pipeline.bundle import BundleError, read_bundle
from pipeline.comparison import plan_comparison
from pipeline.params import ParamsError, load_params, load_run
from pipeline.predict import Predictor, load_bundle
from tests.features.encoders.samples import recogniser_model, text_model
from tests.pipeline.finished_run import FinishedRun, finish_run, predictions
from tests.pipeline.imports.conftest import import_json

SILENT = "c25"


@pytest.fixture(scope="module")
def spoken_run(request, tmp_path_factory, tiny_clip) -> FinishedRun:
    """A run with a recogniser and an encoder of text beside one of sound."""
    models = tmp_path_factory.mktemp("models")
    recogniser = {"kind": "whisper", "weights": "folder", "max_tokens": 12}
    recogniser["model"] = str(recogniser_model(models / "whisper"))
    text = {"kind": "transformers", "input": "text", "weights": "folder", "max_tokens": 16}
    text["model"] = str(text_model(models / "bert"))
    return finish_run(
        request.config.rootpath,
        tmp_path_factory.mktemp("run"),
        tiny_clip,
        transcripts=recogniser,
        encoders={"sound": {"kind": "opensmile", "model": "eGeMAPSv02"}, "said": text},
        heads={"ridge": {"kind": "ridge"}},
    )


@pytest.fixture
def run(spoken_run, monkeypatch) -> FinishedRun:
    return spoken_run.enter(monkeypatch)


@pytest.fixture
def changed(run) -> Iterator[FinishedRun]:
    """The run, whose parameters may be changed."""
    before = (run.folder / "params.yaml").read_text()
    yield run
    (run.folder / "params.yaml").write_text(before)
    stages.extract()


def test_a_clip_has_its_words_or_a_row_that_says_there_are_none(run, capsys):
    table = pd.read_parquet("data/transcripts.parquet").set_index("clip_id")
    assert list(table.index) == [f"c{n:02d}" for n in range(30)]
    said = table.loc["c00"]
    assert (said["start_s"], said["language"]) == (0, "en")
    assert 0.3 < said["end_s"] < 0.6
    assert 0 <= said["no_speech"] <= 1
    assert said["text"]
    silent = table.loc[SILENT]
    assert silent["text"] == ""
    assert pd.isna(silent["no_speech"])
    failures = pd.read_parquet("data/features/said.failures.parquet")
    expected = [[SILENT, "stream", "nobody speaks in the clip"]]
    assert failures.to_numpy().tolist() == expected
    stages.extract()  # all of it is in the cache
    shown = capsys.readouterr().out
    for name in ("transcripts", "said"):
        assert f"{name}: 29 of 30 clips (1 without sound, video or words); 0 computed now" in shown
    assert SILENT in pd.read_csv("results/imputed.csv", dtype=str)["clip_id"].tolist()
    assert predictions(run).notna().all().all()


def test_words_are_a_modality_of_their_own(run):
    stages.baseline()
    stages.evaluate()
    parts = pd.read_csv("results/contributions.csv")
    assert set(parts.loc[parts["kind"] == "modality", "part"]) == {"sound", "words"}


def test_a_bundle_hears_what_is_said_in_new_clips(run):
    entry = read_bundle(run.bundle).description.recogniser
    assert entry.spec["max_tokens"] == 12
    with load_bundle(run.bundle) as bundle:
        table = bundle.predict([f"media/c{n}.mp4" for n in (28, 29, 25)]).set_index("clip_id")
        windows = bundle.timeline("media/c29.mp4", window_s=0.2, hop_s=0.2)
    held = predictions(run).loc[["c28", "c29"]]
    assert table.loc[["c28", "c29"], list(held)].to_numpy() == pytest.approx(held.to_numpy())
    assert table.loc["c28", "encoders"] == "said+sound"
    assert "said: stream: nobody speaks in the clip" in table.loc[SILENT, "reasons"]
    assert len(windows) > 1
    (model,) = {entry.spec["model"]}
    settings = Path(model, "generation_config.json")
    before = settings.read_text()
    settings.write_text(json.dumps({**json.loads(before), "suppress_tokens": [1]}))
    try:
        with load_bundle(run.bundle) as bundle, pytest.raises(BundleError, match="other weights"):
            bundle.predict("media/c28.mp4")
    finally:
        settings.write_text(before)


def test_bundles_that_hear_stand_side_by_side(run):
    bundles = [read_bundle(run.bundle).named(name) for name in ("first", "second")]
    first, second = Predictor(bundles[:1]), Predictor(bundles)
    with first, second:
        alone, both = (each.predict("media/c28.mp4") for each in (first, second))
    assert len(second.targets) == 2 * len(first.targets)
    assert both[second.targets].to_numpy() == pytest.approx(np.tile(alone[first.targets], 2))


def test_an_optional_recogniser_is_left_out_with_what_reads_it(changed, capsys):
    recogniser = load_params().transcripts.model_dump(exclude_unset=True)
    changed.params(transcripts={**recogniser, "max_tokens": 11})
    with pytest.raises(ParamsError, match=r"another transcripts of 'said'.*Run `dvc repro`"):
        plan_comparison()
    changed.params(transcripts={**recogniser, "model": "models/gone", "optional": True})
    stages.extract()
    assert "said is LEFT OUT: there are no transcripts: " in capsys.readouterr().out
    assert pd.read_parquet("data/transcripts.parquet")["text"].eq("").all()
    params = load_run()
    assert (params.left_out, [*params.encoders]) == (("said", "transcripts"), ["sound"])
    assert params.transcripts is None
    changed.params(transcripts=None)
    with pytest.raises(ParamsError, match=r"encoders.said reads them, and there are none"):
        load_params()


def test_imported_transcripts_take_the_recognisers_place_and_hold_for_this_run_only(changed):
    labels = pd.read_parquet("data/clips.parquet")[["clip_id", "split", "joy", "fear"]]
    labels["path"] = labels["clip_id"] + ".mp4"
    labels.to_csv("labels.csv", index=False)
    changed.params(data={"labels": "labels.csv", "media": "media"})
    texts = ["oh what a joy" if n % 2 else "what is this" for n in range(28)]
    said = pd.DataFrame({"file": labels["clip_id"][:28].str.upper(), "Transcript": texts})
    said.to_csv("said.csv", index=False)
    assert import_json("transcripts", "said.csv")["n_clips_with_words"] == 28
    assert load_params().transcripts.kind == "imported"
    stages.extract()
    table = pd.read_parquet("data/transcripts.parquet")
    assert table["text"].tolist() == [*texts, "", ""]
    assert len(pd.read_parquet("data/features/said.failures.parquet")) == 2
    stages.pool()
    changed.fit(["ridge"])
    assert read_bundle(changed.bundle).description.recogniser is None
    with load_bundle(changed.bundle) as bundle:
        reasons = bundle.predict("media/c28.mp4")["reasons"][0]
    assert reasons == "said: stream: imported features: it embeds no new clips"
    assert import_json("transcripts", "said.csv")["written"] == []
    imported = "data/imports/transcripts.parquet"
    pd.read_parquet(imported)[:3].to_parquet(imported)
    with pytest.raises(ParamsError, match="another one than params.yaml says: run `eri import"):
        stages.extract()
