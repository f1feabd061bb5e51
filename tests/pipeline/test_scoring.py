import json

import numpy as np
import pandas as pd
import pytest

from models.evaluation.scores import score_predictions
from models.evaluation.slices import FEW, MISSING
from pipeline.scoring import SLICE_COLUMNS, leaderboard, score_splits, slice_table


def noisy(rows, *sizes):
    """Labels with noise of several sizes, by name."""
    noise = np.random.default_rng(0).normal(size=rows.y.shape)
    return {f"head{size}": np.nan_to_num(rows.y) + size * noise for size in sizes}


def test_scores_have_the_form_of_the_contract(rows, params):
    scores = score_splits({"exact": np.nan_to_num(rows.y)}, rows, params)["exact"]
    assert list(scores) == ["oof", "val"]  # Test has no labels
    assert scores["val"]["mean_pearson"] == pytest.approx(1)
    assert scores["val"]["ci95"] == pytest.approx([1, 1])
    assert scores["val"]["pearson"] == pytest.approx(dict.fromkeys(params.targets, 1))
    assert scores["oof"]["pooled_mean_pearson"] == pytest.approx(1)
    assert "constant" not in scores["oof"]


def test_the_interval_holds_the_score_and_is_repeatable(rows, params):
    first, again = (score_splits(noisy(rows, 1), rows, params) for _ in range(2))
    assert json.dumps(first) == json.dumps(again)
    for score in first["head1"].values():
        low, high = score["ci95"]
        assert low < score["mean_pearson"] < high


def test_members_scored_together_have_the_intervals_of_each_alone(rows, params):
    members = noisy(rows, 0, 1, 2)
    scores = score_splits(members, rows, params)
    n = rows.n_train
    for name, each in members.items():
        of_train = rows.y[:n], each[:n][None], rows.people[:n]
        (alone,) = score_predictions(*of_train, 200, params.seed, rows.fold_of_row)
        ends = [alone.interval.low, alone.interval.high]
        assert scores[name]["oof"]["ci95"] == pytest.approx(ends, abs=1e-6)


def test_members_are_compared_with_the_best_on_the_same_resamples(rows, params):
    scores = score_splits(noisy(rows, 2, 0, 0.1), rows, params)
    for split in ("val", "oof"):
        assert scores["head0"][split]["better_than_best"] is None
        assert 0 <= scores["head2"][split]["better_than_best"] < 0.2
    tied = score_splits({"a": rows.y, "b": 2 * rows.y}, rows, params)
    tied = [score["val"]["better_than_best"] for score in tied.values()]
    assert sorted(tied, key=str) == [0.5, None]


def test_an_undefined_score_is_null_and_not_nan(rows, params):
    rows.y[:] = np.where(np.arange(3) == 1, np.nan, rows.y)
    score = score_splits({"exact": np.nan_to_num(rows.y)}, rows, params)["exact"]["val"]
    assert score["pearson"]["fear"] is None
    assert score["mean_pearson"] == pytest.approx(1)
    assert "NaN" not in json.dumps(score)


def test_constant_predictions_are_flagged_by_target(rows, params):
    some, every = noisy(rows, 1)["head1"], np.zeros(rows.y.shape)
    some[:, 1] = 0.3
    every[: rows.n_train] = rows.fold_of_row[:, None]  # as the mean does, out of fold
    scores = score_splits({"some": some, "every": every}, rows, params)
    assert scores["some"]["val"]["constant"] == ["fear"]
    assert scores["some"]["val"]["pearson"]["fear"] == 0
    assert scores["every"]["oof"]["constant"] == list(params.targets)
    table = leaderboard(scores | score_splits(noisy(rows, 0), rows, params), params.targets)
    assert dict(zip(table["name"], table["constant"], strict=True)) == {
        "head0": "",
        "some": "fear",
        "every": "all",
    }


def test_the_official_score_stands_beside_ours(rows, params):
    members = noisy(rows, 1, 2)
    members["head2"][rows.n_train :, 1] = 0.3
    scores = score_splits(members, rows, params)
    for by_split in scores.values():
        official = by_split["oof"]["official_mean_pearson"]
        assert official == by_split["oof"]["pooled_mean_pearson"]
    assert scores["head1"]["val"]["official_mean_pearson"] == scores["head1"]["val"]["mean_pearson"]
    assert scores["head2"]["val"]["official_mean_pearson"] is None
    json.dumps(scores, allow_nan=False)
    table = leaderboard(scores, params.targets).set_index("name")
    assert table["val_official_mean_pearson"].notna().to_dict() == {"head1": True, "head2": False}
    assert table["oof_official_mean_pearson"].equals(table["oof_pooled_mean_pearson"])


def test_the_leaderboard_is_sorted_by_val(rows, params):
    table = leaderboard(score_splits(noisy(rows, 2, 0, 1), rows, params), params.targets)
    assert table["name"].tolist() == ["head0", "head1", "head2"]
    assert table.columns[:5].tolist() == [
        *("name", "val_mean_pearson", "val_ci95_low", "val_ci95_high", "val_better_than_best"),
    ]
    assert {f"{split}_joy" for split in ("val", "oof")} <= set(table.columns)


def test_without_labels_on_val_the_order_is_out_of_fold(rows, params):
    rows.y[rows.n_train :] = np.nan
    table = leaderboard(score_splits(noisy(rows, 1, 0), rows, params), params.targets)
    assert table["name"].tolist() == ["head0", "head1"]


def test_slices_of_categories_and_numbers_are_scored(rows, params):
    evaluation = params.evaluation.model_copy(update={"slices": ("country", "age")})
    params = params.model_copy(update={"evaluation": evaluation})
    k = np.arange(len(rows.clips))
    country = pd.Series(np.where(k % 2, "X", "Y"), dtype="string")
    rows.clips["country"] = country.mask(k % 9 == 0)
    rows.clips["age"] = pd.Series(18 + k % 12, dtype="string")  # as a CSV file gives it
    table = slice_table(noisy(rows, 0, 1), rows, params)
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
    scored = table[table["n_people"] > 1].dropna(subset=["ci95_low"])
    assert (scored["ci95_low"] <= scored["ci95_high"]).all()


def test_without_slices_there_is_a_header_only(rows, params, tmp_path):
    evaluation = params.evaluation.model_copy(update={"slices": ()})
    params = params.model_copy(update={"evaluation": evaluation})
    slice_table(noisy(rows, 0), rows, params).to_csv(tmp_path / "slices.csv", index=False)
    assert (tmp_path / "slices.csv").read_text().strip() == ",".join(SLICE_COLUMNS)
