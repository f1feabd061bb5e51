import numpy as np
import pandas as pd
import pytest

from models.evaluation.slices import FEW, MISSING
from models.heads import Head
from pipeline.breakdowns import (
    CONTRIBUTION_COLUMNS,
    SLICE_COLUMNS,
    contribution_table,
    learning_curve_table,
    slice_table,
)
from pipeline.clip_table import read_rows
from pipeline.fit import Fitting, head_task
from pipeline.leaderboard import score
from pipeline.params import ImportedStore, load_params

ENCODERS = ("clip", "resnet50", "egemaps")
JOINED = "clip+egemaps+resnet50"


@pytest.fixture
def members(rows):
    """Heads that are wrong in ways of their own, but for the visual ones, which are alike."""
    noise = np.random.default_rng(0).normal(size=(3, *rows.y.shape))
    sizes = np.array([0.3, 0.4, 0.3])[:, None, None]
    clip, egemaps, joined = np.nan_to_num(rows.y) + sizes * noise
    views = {"clip": clip, "resnet50": 2 * clip, "egemaps": egemaps, JOINED: joined}
    return {f"ridge/{view}": each for view, each in views.items()}


@pytest.mark.parametrize("split", ["val", "oof"])
def test_a_part_adds_what_no_other_knows(members, rows, params, split):
    table = contribution_table(members, rows, params, split).set_index("part")
    assert ["kind", *table.columns[1:]] == [each for each in CONTRIBUTION_COLUMNS if each != "part"]
    assert set(table.index) == {"vision", "sound", *ENCODERS}
    assert (table.loc[["vision", "sound"], "gain"] > 0.03).all()
    assert (table.loc[["vision", "sound"], "p_better"] > 0.9).all()
    assert table.loc["sound"].drop(["kind"]).equals(table.loc["egemaps"].drop(["kind"]))
    # Of two that say the same, neither is missed as both together are.
    assert table.loc["vision", "alone"] == pytest.approx(table.loc["clip", "alone"], abs=1e-5)
    assert (table.loc[["clip", "resnet50"], "gain"] < table.loc["vision", "gain"] - 0.03).all()
    assert (table["ci95_low"] <= table["gain"]).all()
    assert (table["gain"] <= table["ci95_high"]).all()


def test_alone_is_the_score_of_its_heads(members, rows, params):
    table = contribution_table(members, rows, params, "val").set_index("part")
    one = score({"only": members["ridge/egemaps"]}, rows, params, "val")["only"]
    found = table.loc["egemaps", ["alone", "alone_ci95_low", "alone_ci95_high"]].tolist()
    expected = [one.mean_pearson, one.interval.low, one.interval.high]
    assert found == pytest.approx(expected, abs=1e-6)


def test_kinds_of_a_single_part_are_left_out(members, rows, params):
    for names, kinds in ((["clip"], []), (["clip", "resnet50"], ["encoder"])):
        few = params.model_copy(update={"encoders": {n: params.encoders[n] for n in names}})
        table = contribution_table(members, rows, few, "val")
        assert table.columns.tolist() == CONTRIBUTION_COLUMNS
        assert table["kind"].unique().tolist() == kinds
    stores = {
        "egemaps": ImportedStore(store="fau", sha256="ab")
    }  # of which nobody knows what it is
    table = contribution_table(members, rows, few.model_copy(update={"stores": stores}), "val")
    parts = table[table["kind"] == "modality"].set_index("part")["encoders"]
    assert parts.to_dict() == {"vision": "clip resnet50", "imported": "egemaps"}


def test_slices_of_categories_and_numbers_are_scored(rows, params):
    k = np.arange(len(rows.clips))
    country = pd.Series(np.where(k % 2, "X", "Y"), dtype="string")
    rows.clips["country"] = country.mask(k % 9 == 0)
    rows.clips["age"] = pd.Series(18 + k % 12, dtype="string")  # as a CSV file gives it
    exact = np.nan_to_num(rows.y)
    named = {"head0": exact, "head1": exact + np.random.default_rng(0).normal(size=exact.shape)}
    assert slice_table(named, rows, params, [], ["val"]).columns.tolist() == SLICE_COLUMNS
    table = slice_table(named, rows, params, ["country", "age"], ["oof", "val"])
    assert table.columns.tolist() == SLICE_COLUMNS
    out_of_fold = table.loc[(table["split"] == "oof") & (table["name"] == "head0"), "slice"]
    assert out_of_fold.tolist() == ["X", "Y", MISSING, "[18, 21)", "[21, 25)", "[25, 29]"]
    assert set(table["slice"]) - set(out_of_fold) <= {FEW}
    assert set(table["split"]) == {"oof", "val"}
    n_rows = table[table["name"] == "head1"].groupby(["column", "split"])["n_rows"].sum()
    n_val = (rows.clips["split"] == "Val").sum()
    assert n_rows.tolist() == [rows.n_train, n_val] * 2
    exact = table.loc[table["name"] == "head0", "mean_pearson"]
    assert (exact.dropna() > 0.999).all()
    scored = table[table["n_people"] > 1].dropna()
    assert (scored["ci95_low"] <= scored["ci95_high"]).all()


def test_a_curve_adds_people_to_those_before_and_repeats_draw_others(project, monkeypatch):
    project.clips["group"] = [f"p{number % 15}" for number in range(len(project.clips))]
    project.clips.loc[project.clips["group"] == "p3", list(project.content["targets"])] = np.nan
    project.write()
    params = load_params()
    fitting, task = Fitting(read_rows(params)), head_task("ridge", "face", params)
    n_labelled = int(fitting.view(task).labelled.sum())
    fitting.fit(task)
    fitted_on, fit = [], Head.fit
    monkeypatch.setattr(Head, "fit", lambda *work: fitted_on.append(set(work[3])) or fit(*work))
    table = learning_curve_table(fitting, task, params)
    assert table["n_people"].tolist() == [2, 4, 7, 14]
    assert table["n_fits"].tolist() == [3, 3, 3, 1]
    assert table["n_rows"].iloc[-1] == n_labelled
    ends = table[["lowest", "mean_pearson", "highest"]]
    assert (ends.diff(axis=1).iloc[:, 1:] >= 0).all(axis=None)
    assert fitted_on[0] < fitted_on[1] < fitted_on[2]
    assert fitted_on[0] != fitted_on[3]
    assert learning_curve_table(fitting, task, params).equals(table)
    assert len(fitted_on) == 9
