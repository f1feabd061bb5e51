import numpy as np
import pandas as pd
import pytest
import yaml

from models.heads import HEADS, make_head
from pipeline.clip_table import read_rows
from pipeline.compare import compare
from pipeline.fits.final import final_fit
from pipeline.fits.fit_cache import FitCache
from pipeline.fits.fitting import Fitter, make_job_head
from pipeline.fits.jobs import head_job
from pipeline.fits.pooled import find_view, load_vectors
from pipeline.fits.result_cache import default_result_folder
from pipeline.params import ParamsError, load_params
from pipeline.paths import BASELINES, OOF, PREDICTIONS
from pipeline.predictions import read_prediction_table
from pipeline.stages import baseline, fit, stack

QUICK = {"lightgbm": {"n_rounds": 5}, "mlp": {"max_epochs": 3, "n_seeds": 1}}
QUICK |= {"random_trees": {"n_trees": 5}}


@pytest.fixture(autouse=True)
def the_same_code(monkeypatch):
    for name in ("code_digest", "_code_in_use"):
        monkeypatch.setattr(f"pipeline.fits.fit_cache.{name}", lambda: "code")


@pytest.fixture
def read(project):
    """Read the project's parameters and rows."""

    def run():
        params = load_params()
        return params, read_rows(params)

    return run


def fitted(read, refit_on, kind="ridge"):
    """Fit a head on both encoders, and return what `final_fit` gives, with its job and rows."""
    params, rows = read()
    folder = default_result_folder()
    view = find_view("face+voice", params, folder)
    job = head_job("head", {"kind": kind, **QUICK.get(kind, {})}, params.seed, view)
    return *final_fit(job, Fitter(rows), FitCache(rows, folder), refit_on), job, rows


def of(rows, split):
    return (rows.clips["split"] == split).to_numpy(bool)


@pytest.mark.parametrize("kind", sorted(HEADS))
def test_only_test_is_predicted_by_a_plain_refit(read, kind):
    default, _, job, rows = fitted(read, "train", kind)
    refit, reused, *_ = fitted(read, "train+val", kind)
    assert not reused
    test = of(rows, "Test")
    assert test.any()
    assert of(rows, "Val").any()
    assert refit.predictions[~test].tobytes() == default.predictions[~test].tobytes()
    x = load_vectors(job.view, rows.clip_ids)
    head = make_head({"kind": job.kind, **job.settings}, job.seed, job.view.bands)
    plain = head.fit(x[~test], rows.y[~test], rows.people[~test]).predict(x[test])
    np.testing.assert_array_equal(refit.predictions[test], plain)
    assert not np.array_equal(plain, default.predictions[test])


def test_no_label_of_val_reaches_a_prediction_of_val(project, read):
    before, _, _, rows = fitted(read, "train+val")
    val = project.clips["split"] == "Val"
    project.clips.loc[val, "joy"] = 1 - project.clips.loc[val, "joy"]
    project.write()
    after, reused, *_ = fitted(read, "train+val")
    assert not reused
    test = of(rows, "Test")
    assert after.predictions[~test].tobytes() == before.predictions[~test].tobytes()
    changed = after.predictions[test] != before.predictions[test]
    assert changed.any(axis=0).tolist() == [True, False, False]  # joy comes first


def test_val_and_test_in_any_order(project, read):
    before, *_, rows = fitted(read, "train+val")
    project.clips = project.clips.sort_values("split", kind="stable", ignore_index=True)
    project.write()
    after, *_, others = fitted(read, "train+val")
    assert rows.clip_ids != others.clip_ids
    by_id = [pd.DataFrame(f.predictions, r.clip_ids) for f, r in ((before, rows), (after, others))]
    by_id = [table.loc[rows.clip_ids[rows.n_train :]] for table in by_id]
    np.testing.assert_allclose(*by_id, rtol=1e-4)


def test_unlabelled_clips_of_val_are_left_out(project, read):
    val = project.clips.index[project.clips["split"] == "Val"]
    project.clips.loc[val[1:], ["joy", "fear", "awe"]] = np.nan
    project.write()
    refit, _, job, rows = fitted(read, "train+val")
    used, test = np.isfinite(rows.y).all(axis=1), of(rows, "Test")
    assert used.sum() == rows.n_train + 1
    x = load_vectors(job.view, rows.clip_ids)
    head = make_job_head(job).fit(x[used], rows.y[used], rows.people[used])
    np.testing.assert_array_equal(refit.predictions[test], head.predict(x[test]))


def test_without_labels_on_val_it_is_refused(project, read):
    project.clips.loc[project.clips["split"] == "Val", ["joy", "fear", "awe"]] = np.nan
    project.write()
    with pytest.raises(ParamsError, match="train.val, but no clip of Val is labelled.*to train"):
        fitted(read, "train+val")
    assert fitted(read, "train")[1]  # what had been fitted by then


def test_without_clips_of_test_nothing_changes(project, read):
    project.clips = project.clips[project.clips["split"] != "Test"]
    project.write()
    default, refit = fitted(read, "train")[0], fitted(read, "train+val")[0]
    assert refit.predictions.tobytes() == default.predictions.tobytes()


def test_fits_are_kept_side_by_side_and_shared_with_the_comparison(project, read, monkeypatch):
    refit = fitted(read, "train+val")[0]
    assert fitted(read, "train")[1]  # the ordinary fit was kept on the way
    again, reused, *_ = fitted(read, "train+val")
    assert reused
    assert again.predictions.tobytes() == refit.predictions.tobytes()
    project.content["final"] = {"refit_on": "train+val"}
    project.write()
    monkeypatch.setattr("sys.argv", ["fit", "ridge"])
    fit.main()
    baseline.main()
    boards = []
    compare(heads=["ridge"], on_change=boards.append)
    assert {e.state for n, e in boards[0].entries.items() if "ridge" in n} == {"done"}


def test_the_stages_hand_the_refit_on_to_the_submission(project, read, monkeypatch):
    tables = {}
    for refit_on in ("train", "train+val"):
        project.content["final"] = {"refit_on": refit_on}
        project.write()
        for head in project.content["heads"]:
            monkeypatch.setattr("sys.argv", ["fit", head])
            fit.main()
        baseline.main()
        stack.main()
        params, rows = read()
        ridge = read_prediction_table(OOF / "ridge.parquet", rows, params.targets)["face"]
        means = read_prediction_table(BASELINES, rows, params.targets)["mean"]
        dtype = {"File_ID": str}
        sent = pd.read_csv(PREDICTIONS, dtype=dtype).set_index("File_ID")
        tables[refit_on] = ridge, means, sent.loc[rows.clip_ids[rows.n_train :]].to_numpy()
    test = of(rows, "Test")
    used = np.isfinite(rows.y).all(axis=1)
    for number, rest in enumerate([~test, ~test, ~test[rows.n_train :]]):
        one, other = tables["train"][number], tables["train+val"][number]
        assert one[rest].tobytes() == other[rest].tobytes()
        assert (one[~rest] != other[~rest]).all()
    mean = tables["train+val"][1][test]
    np.testing.assert_allclose(mean, np.broadcast_to(rows.y[used].mean(axis=0), mean.shape))


def test_dvc_runs_again_what_the_choice_changes(request):
    content = yaml.safe_load((request.config.rootpath / "dvc.yaml").read_text())["stages"]
    named = {
        name for name, each in content.items() if "final" in each.get("do", each).get("params", [])
    }
    assert named == {"baseline", "bundle", "fit", "report"}


def test_only_the_two_are_known(project):
    project.content["final"] = {"refit_on": "val"}
    with pytest.raises(ParamsError, match="final.refit_on.*'train' or 'train\\+val'"):
        project.write()
