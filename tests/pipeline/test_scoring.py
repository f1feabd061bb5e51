import json

import numpy as np
import pytest

from pipeline.scoring import leaderboard, score_splits


def test_scores_have_the_form_of_the_contract(rows, params):
    scores = score_splits(np.nan_to_num(rows.y), rows, params)
    assert list(scores) == ["oof", "val"]  # Test has no labels
    assert scores["val"]["mean_pearson"] == pytest.approx(1)
    assert scores["val"]["ci95"] == pytest.approx([1, 1])
    assert scores["val"]["pearson"] == pytest.approx(dict.fromkeys(params.targets, 1))
    assert scores["oof"]["foldwise_mean_pearson"] == pytest.approx(1)


def test_the_interval_holds_the_score_and_is_repeatable(rows, params):
    noisy = np.nan_to_num(rows.y) + np.random.default_rng(0).normal(size=rows.y.shape)
    first, again = (score_splits(noisy, rows, params) for _ in range(2))
    assert json.dumps(first) == json.dumps(again)
    for score in first.values():
        low, high = score["ci95"]
        assert low < score["mean_pearson"] < high


def test_an_undefined_score_is_null_and_not_nan(rows, params):
    rows.y[:] = np.where(np.arange(3) == 1, np.nan, rows.y)
    score = score_splits(np.nan_to_num(rows.y), rows, params)["val"]
    assert score["pearson"]["fear"] is None
    assert score["mean_pearson"] == pytest.approx(1)
    assert "NaN" not in json.dumps(score)


def test_the_leaderboard_is_sorted_by_val(rows, params):
    rng = np.random.default_rng(0)
    noise = rng.normal(size=rows.y.shape)
    truth = np.nan_to_num(rows.y)
    scores = {f"head{k}": score_splits(truth + k * noise, rows, params) for k in (2, 0, 1)}
    table = leaderboard(scores, params.targets)
    assert table["name"].tolist() == ["head0", "head1", "head2"]
    assert table.columns[:4].tolist() == [
        *("name", "val_mean_pearson", "val_ci95_low", "val_ci95_high"),
    ]
    assert {f"{split}_joy" for split in ("val", "oof")} <= set(table.columns)


def test_without_labels_on_val_the_order_is_out_of_fold(rows, params):
    rows.y[rows.n_train :] = np.nan
    noise = np.random.default_rng(0).normal(size=rows.y.shape)
    truth = np.nan_to_num(rows.y)
    scores = {f"head{k}": score_splits(truth + k * noise, rows, params) for k in (1, 0)}
    assert leaderboard(scores, params.targets)["name"].tolist() == ["head0", "head1"]
