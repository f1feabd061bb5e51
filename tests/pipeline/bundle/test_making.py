import shutil
from dataclasses import replace

import numpy as np
import pytest

from models.arrays import DataError
from pipeline.bundle.contents import read_bundle
from pipeline.bundle.making import make_bundle
from pipeline.bundle.manifest import BundleError
from pipeline.clip_table import read_rows
from pipeline.params import ParamsError, load_params
from pipeline.predict.predictor import load_bundle
from pipeline.stages import bundle
from tests.pipeline.finished_run import TARGETS, predictions


@pytest.fixture
def sent(finished_run, tmp_path):
    """The prediction file; all results are put back after the test."""
    results = finished_run.folder / "results"
    shutil.copytree(results, tmp_path / "results")
    yield results / "predictions.csv"
    shutil.rmtree(results)
    shutil.copytree(tmp_path / "results", results)
    finished_run.params(final={"refit_on": "train"})


def test_the_same_run_gives_the_same_bytes(finished_run):
    before = {path.name: path.read_bytes() for path in finished_run.bundle.iterdir()}
    finished_run.stage(bundle)
    assert {path.name: path.read_bytes() for path in finished_run.bundle.iterdir()} == before


def test_predictions_of_another_run_are_refused(finished_run, sent):
    table = predictions(finished_run)
    (table + 0.1).to_csv(sent)
    with pytest.raises(DataError, match=r"predict otherwise than .*predictions\.csv.*0\.1"):
        finished_run.stage(bundle)
    table[1:].to_csv(sent)
    with pytest.raises(ParamsError, match="of other clips"):
        finished_run.stage(bundle)
    sent.unlink()
    with pytest.raises(ParamsError, match="there is no"):
        finished_run.stage(bundle)
    read_bundle(finished_run.bundle)  # the one from before


def test_a_clip_may_be_called_na(finished_run, sent):
    table = predictions(finished_run).reset_index()
    table.loc[0, "File_ID"] = "NA"
    table.to_csv(sent, index=False)
    rows = read_rows(load_params())
    file_id = np.where(rows.clips["clip_id"] == rows.clip_ids[rows.n_train], "NA", "")
    rows = replace(rows, clips=rows.clips.assign(file_id=file_id))
    make_bundle(load_params(), rows, finished_run.bundle)
    read_bundle(finished_run.bundle)


def test_a_table_that_does_not_say_what_made_it_is_refused(finished_run, monkeypatch):
    monkeypatch.setattr("pipeline.bundle.making.store_metadata", lambda schema: {})
    with pytest.raises(BundleError, match="does not say which encoder made it"):
        finished_run.stage(bundle)


def test_heads_refitted_on_val_predict_test_as_the_run_does(finished_run, sent):
    on_train = predictions(finished_run)
    finished_run.params(final={"refit_on": "train+val"})
    finished_run.fit()
    expected = predictions(finished_run)
    assert not np.allclose(expected[-2:], on_train[-2:])
    predictor = load_bundle(finished_run.bundle)
    training = predictor.description.training
    assert (training.n_clips, training.n_compared) == (28, 2)
    assert training.largest_difference < 1e-9
    table = predictor.predict(finished_run.folder / "media", progress=False).set_index("clip_id")
    found = table.loc[expected.index, TARGETS]
    np.testing.assert_allclose(found[-2:], expected[-2:], atol=1e-9)
    assert not np.allclose(found[:4], expected[:4])  # Val was learned from
