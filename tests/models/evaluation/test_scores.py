import math
from dataclasses import astuple

import numpy as np
import pytest

from models.evaluation.bootstrap import bootstrap_scores, percentile_interval
from models.evaluation.scores import Score, best_first, better_than_best, score_predictions
from models.metrics import mean_pearson, pearson


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(120, 3))
    y[::5, 1] = np.nan
    groups = np.arange(120) // 4
    noise = rng.normal(size=(4, 120, 3))
    truth = np.nan_to_num(y)
    members = np.stack([truth + size * noise[k] for k, size in enumerate((2.0, 0.5, 1.0))])
    return y, members, groups, groups % 3


@pytest.mark.parametrize("out_of_fold", [False, True])
def test_scores_are_those_of_the_metrics_and_of_the_bootstrap(rows, out_of_fold):
    y, members, groups, folds = rows
    fold = folds if out_of_fold else None
    members = members + folds[:, None]
    scores = score_predictions(y, members, groups, 300, 0, fold)
    for each, score in zip(members, scores, strict=True):
        np.testing.assert_array_equal(score.pearson, pearson(y, each, fold))
        assert score.mean_pearson == pytest.approx(mean_pearson(y, each, fold))
        assert score.pooled_mean_pearson == pytest.approx(mean_pearson(y, each))
        expected = percentile_interval(bootstrap_scores(y, each, groups, 300, 0, fold))
        assert astuple(score.interval) == pytest.approx(astuple(expected))
        assert (score.mean_pearson == score.pooled_mean_pearson) != out_of_fold


def test_the_mean_predictor_scores_zero_out_of_fold_beside_heads_and_stack(rows):
    y, members, groups, folds = rows
    means = np.stack([np.nanmean(y[folds != fold], axis=0) for fold in range(3)])[folds]
    head, baseline = score_predictions(y, np.stack([members[1], means]), groups, 300, 0, folds)
    assert baseline.mean_pearson == baseline.interval.low == baseline.interval.high == 0
    assert baseline.pooled_mean_pearson < 0 < head.mean_pearson
    assert baseline.constant.all()


def test_the_best_has_no_probability_and_the_others_less_than_half(rows):
    y, members, groups, _ = rows
    scores = score_predictions(y, members, groups, 300, 0)
    assert repr(scores[0]).endswith(", 3 targets, 300 resamples)")
    with pytest.raises(ValueError, match=r"expected \[n_targets\] twice"):
        Score(np.zeros(3), 0.0, np.zeros(2, bool), np.zeros(50))
    assert best_first(scores) == [1, 2, 0]
    better = better_than_best(scores)
    assert math.isnan(better[1])
    assert better[0] <= better[2] < 0.5
    twins = score_predictions(y, members[[1, 1]], groups, 300, 0)
    assert better_than_best(twins)[1] == 0.5


def test_without_labels_nothing_is_scored_and_comes_last(rows):
    y, members, groups, _ = rows
    scores = score_predictions(y, members[:2], groups, 100, 0)
    unscored = score_predictions(np.full_like(y, np.nan), members[:1], groups, 100, 0)
    assert math.isnan(unscored[0].mean_pearson)
    assert best_first([*unscored, *scores]) == [2, 1, 0]
    assert math.isnan(better_than_best([*unscored, *scores])[0])
    assert better_than_best([]) == []
