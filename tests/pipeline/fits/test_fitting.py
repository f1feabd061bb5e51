import numpy as np
import pandas as pd
import pytest

from models.heads import make_head
from pipeline.clip_table import read_rows
from pipeline.compare import compare
from pipeline.fits.fitting import Fitter, make_job_head
from pipeline.fits.jobs import DURATION, head_job
from pipeline.fits.pooled import find_view
from pipeline.params import load_params
from pipeline.predictions import fold_view, predict_rows
from pipeline.stages import fit as stage


@pytest.fixture(autouse=True)
def the_same_code(monkeypatch):
    for name in ("code_digest", "_code_in_use"):
        monkeypatch.setattr(f"pipeline.fits.fit_cache.{name}", lambda: "code")


@pytest.fixture
def run_stage(project, monkeypatch):
    """Run the stage for a head; return its table and what it printed."""

    def run(head, capsys):
        monkeypatch.setattr("sys.argv", ["fit", head])
        stage.main()
        table = pd.read_parquet(project.folder / "results" / "oof" / f"{head}.parquet")
        return table, capsys.readouterr().out.splitlines()

    return run


@pytest.fixture
def rows(project):
    return read_rows(load_params(project.folder / "params.yaml"))


def test_a_fit_is_that_of_the_head_on_the_folded_view(project, rows):
    params = load_params(project.folder / "params.yaml")
    view = find_view("face", params, project.folder / "cache")
    job = head_job("ridge", params.heads["ridge"], params.seed, view)
    fit = Fitter(rows).fit(view, make_job_head(job))
    x = pd.read_parquet(view.tables[0].path).set_index("clip_id").loc[rows.clip_ids, "embedding"]
    expected = predict_rows(make_head({"kind": "ridge"}, 0), fold_view(np.stack(x), rows))
    np.testing.assert_array_equal(fit.predictions, expected)
    assert fit.fit_s > 0


def test_the_duration_is_a_view(rows):
    fitter = Fitter(rows)
    assert fitter.load(DURATION).inputs.shape == (rows.n_train, 1)
    assert fitter.load(DURATION) is fitter.load(DURATION)


def test_the_stage_and_the_comparison_fit_nothing_twice(project, run_stage, capsys):
    table, printed = run_stage("ridge", capsys)
    assert [line.split(":")[0] for line in printed] == [
        *("ridge/face", "ridge/voice", "ridge/face+voice")
    ]
    assert not any("as fitted before" in line for line in printed)
    boards = []
    compare(on_change=boards.append)
    assert boards[0].entries["ridge/face"].state == "done"
    again, printed = run_stage("ridge", capsys)
    assert all("as fitted before" in line for line in printed)
    pd.testing.assert_frame_equal(again, table)
    assert all("as fitted before" in line for line in run_stage("average", capsys)[1])
