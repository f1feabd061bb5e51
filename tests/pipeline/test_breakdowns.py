from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from models.evaluation.slices import FEW, MISSING
from pipeline.breakdowns import (
    CONTRIBUTION_COLUMNS,
    SLICE_COLUMNS,
    contribution_table,
    learning_curve_table,
    slice_table,
)
from pipeline.leaderboard import score
from pipeline.params import ImportedStore

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


def test_a_curve_adds_people_to_those_before_and_repeats_draw_others(rows, params, monkeypatch):
    n, fitted_on, kept = rows.n_train, [], {}
    y, held = rows.y[:n].copy(), np.nan_to_num(rows.y[n:])
    people = np.array([f"p{number % 16:02d}" for number in range(n)], dtype=object)
    y[people == "p03"] = np.nan
    noise = np.random.default_rng(0).normal(size=held.shape)

    class Noted:
        """Notes whom it was fitted on; the more people, the better."""

        def fit(self, inputs, targets, groups):
            assert np.isfinite(targets).all()
            fitted_on.append(set(groups))
            return self

        def predict(self, inputs):
            return inputs + noise / len(fitted_on[-1])

    view = SimpleNamespace(labelled=np.isfinite(y[:, 0]), inputs=np.zeros_like(y), held_inputs=held)
    view.targets, view.groups = y, people
    fitting = SimpleNamespace(rows=rows, view=lambda _: view, key=lambda _: "key")
    fitting.fit = lambda _: SimpleNamespace(predictions=np.concatenate([y, held]))
    task = SimpleNamespace(name="head/view", make_head=Noted)
    monkeypatch.setattr("pipeline.breakdowns.load_result", kept.get)
    monkeypatch.setattr("pipeline.breakdowns.keep_result", kept.__setitem__)
    table = learning_curve_table(fitting, task, params)
    assert table["n_people"].tolist() == [2, 4, 8, 15]
    assert table["n_fits"].tolist() == [3, 3, 3, 1]
    assert table["n_rows"].iloc[-1] == view.labelled.sum()
    assert table["mean_pearson"].is_monotonic_increasing
    assert (table["lowest"] <= table["highest"]).all()
    first, second = fitted_on[:3], fitted_on[3:6]
    assert first[0] < first[1] < first[2]
    assert first[0] != second[0]
    assert learning_curve_table(fitting, task, params).equals(table)
    assert len(fitted_on) == 9
