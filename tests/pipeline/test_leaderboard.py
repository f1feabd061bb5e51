import json

import numpy as np
import pandas as pd
import pytest

from models.metrics import mean_pearson, pearson
from pipeline.leaderboard import (
    leaderboard,
    metrics,
    score,
    score_splits,
    score_table,
    shown_splits,
)


def noisy(rows, *sizes):
    """Labels with noise of several sizes, by name."""
    noise = np.random.default_rng(0).normal(size=rows.y.shape)
    return {f"head{size}": np.nan_to_num(rows.y) + size * noise for size in sizes}


def test_metrics_have_the_form_of_the_contract(rows, params):
    exact = np.nan_to_num(rows.y)
    named = {"stack": exact, "ridge/clip": exact, "baseline/mean": np.zeros_like(exact)}
    found = metrics(score_splits(named, rows, params), params.targets)
    assert list(found) == ["stack", "heads", "baselines"]
    assert list(found["stack"]) == ["val", "oof"]  # Test has no labels
    for split in found["stack"].values():
        assert split["mean_pearson"] == pytest.approx(1)
        assert split["ci95"] == pytest.approx([1, 1])
        assert split["pearson"] == pytest.approx(dict.fromkeys(params.targets, 1))
        assert "constant" not in split
    assert found["stack"]["oof"]["pooled_mean_pearson"] == pytest.approx(1)
    assert found["heads"]["ridge/clip"]["val"]["official_mean_pearson"] == pytest.approx(1)
    mean = found["baselines"]["mean"]["val"]
    assert (mean["mean_pearson"], mean["constant"]) == (0, "all")
    assert mean["official_mean_pearson"] is None
    rows.y[:, 1] = np.nan
    undefined = metrics(score_splits(named, rows, params), params.targets)
    assert undefined["stack"]["val"]["pearson"]["fear"] is None
    assert undefined["stack"]["val"]["mean_pearson"] == pytest.approx(1)
    json.dumps([found, undefined], allow_nan=False)


def test_the_score_out_of_fold_is_the_mean_of_the_folds_for_every_row(rows, params):
    """Whatever a fold's model adds to all of its predictions changes nothing."""
    head = noisy(rows, 1)["head1"]
    moved = head.copy()
    moved[: rows.n_train] += 5 * rows.fold_of_row[:, None]
    table = score_table(score({"a": head, "b": moved}, rows, params, "oof"), params.targets, "oof")
    first, second = table.set_index("name").loc[["a", "b"]].to_dict("records")
    n = rows.n_train
    by_fold = pearson(rows.y[:n], head[:n], rows.fold_of_row)
    assert first["mean_pearson"] == pytest.approx(by_fold.mean(), abs=1e-6)
    assert first["pearson_joy"] == pytest.approx(by_fold[0], abs=1e-6)
    assert first["ci95_low"] < first["mean_pearson"] < first["ci95_high"]
    for column in ("mean_pearson", "pearson_awe"):
        assert second[column] == pytest.approx(first[column], abs=1e-6)
    for each, predicted in ((first, head), (second, moved)):
        pooled = mean_pearson(rows.y[:n], predicted[:n])
        assert each["pooled_mean_pearson"] == pytest.approx(pooled, abs=1e-6)


def test_members_are_compared_with_the_best_on_the_same_resamples(rows, params):
    members, one_by_one = noisy(rows, 2, 0, 0.1), {}
    for name, each in members.items():
        one_by_one |= score({name: each}, rows, params, "oof")
    tables = score_splits(members, rows, params)
    alone = score_table(one_by_one, params.targets, "oof")
    pd.testing.assert_frame_equal(alone, tables["oof"])
    for table in tables.values():
        assert table["name"].tolist() == ["head0", "head0.1", "head2"]
        better = table["better_than_best"]
        assert np.isnan(better[0])
        assert 0 <= better[2] < 0.2
    tied = score_splits({"a": rows.y, "b": 2 * rows.y}, rows, params)["val"]
    assert tied["better_than_best"].tolist() == pytest.approx([np.nan, 0.5], nan_ok=True)


def test_constant_predictions_are_flagged_and_leave_the_official_score_undefined(rows, params):
    members = noisy(rows, 0, 1)
    some, every = members["head1"], np.zeros(rows.y.shape)
    some[rows.n_train :, 1] = 0.3
    every[: rows.n_train] = rows.fold_of_row[:, None]  # as the mean does, out of fold
    tables = score_splits({**members, "every": every}, rows, params)
    assert tables["oof"].set_index("name")["constant"]["every"] == "all"
    val = tables["val"].set_index("name")
    assert val["constant"].to_dict() == {"head0": "", "head1": "fear", "every": "all"}
    assert val["pearson_fear"]["head1"] == 0
    assert val.index[val["official_mean_pearson"].notna()].tolist() == ["head0"]
    board = leaderboard(tables).set_index("name")
    assert board["val_constant"].to_dict() == val["constant"].to_dict()


@pytest.mark.parametrize("test_is_labelled", [False, True])
def test_without_labels_of_val_it_is_sorted_out_of_fold_never_by_test(
    rows, params, test_is_labelled
):
    named, n = noisy(rows, 1, 0), rows.n_train
    rows.y[n:] = np.nan
    if test_is_labelled:
        test = (rows.clips["split"] == "Test").to_numpy()
        rows.y[test] = named["head1"][test]  # whose scores out of fold are worse
    board = leaderboard(score_splits(named, rows, params))
    assert board["name"].tolist() == ["head0", "head1"]
    assert board.columns[1] == "oof_mean_pearson"
    assert ("test_mean_pearson" in board) == test_is_labelled
    assert shown_splits(board)[0] == "oof"
    assert not test_is_labelled or board["test_mean_pearson"].is_monotonic_increasing
