import math
from dataclasses import astuple

import numpy as np
import pytest

from models.evaluation.bootstrap import bootstrap_interval
from models.evaluation.compare import best_first, better_than_best, score_members
from models.metrics import foldwise_pearson, mean_pearson, pearson


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


def test_scores_are_those_of_the_metrics_and_of_the_bootstrap(rows):
    y, members, groups, folds = rows
    for each, score in zip(members, score_members(y, members, groups, 300, 0, folds), strict=True):
        np.testing.assert_array_equal(score.pearson, pearson(y, each))
        assert score.mean_pearson == pytest.approx(mean_pearson(y, each))
        expected = bootstrap_interval(y, each, groups, 300, 0)
        assert astuple(score.interval) == pytest.approx(astuple(expected))
        expected = foldwise_pearson(y, each, folds)
        assert score.foldwise_mean_pearson == pytest.approx(expected.mean())
    (held,) = score_members(y, members[:1], groups, 300, 0)
    assert held.foldwise_mean_pearson is None


def test_members_scored_one_by_one_compare_like_members_scored_together(rows):
    y, members, groups, _ = rows
    together = score_members(y, members, groups, 300, 0)
    alone = [score_members(y, member[None], groups, 300, 0)[0] for member in members]
    assert better_than_best(alone) == pytest.approx(better_than_best(together), nan_ok=True)


def test_the_best_has_no_probability_and_the_others_less_than_half(rows):
    y, members, groups, _ = rows
    scores = score_members(y, members, groups, 300, 0)
    assert best_first(scores) == [1, 2, 0]
    better = better_than_best(scores)
    assert math.isnan(better[1])
    assert better[0] <= better[2] < 0.5


def test_twins_are_better_than_each_other_half_of_the_time(rows):
    y, members, groups, _ = rows
    twins = score_members(y, members[[1, 1]], groups, 300, 0)
    assert better_than_best(twins)[1] == 0.5


def test_without_labels_nothing_is_scored_and_comes_last(rows):
    y, members, groups, _ = rows
    scores = score_members(y, members[:2], groups, 100, 0)
    unscored = score_members(np.full_like(y, np.nan), members[:1], groups, 100, 0)
    assert math.isnan(unscored[0].mean_pearson)
    assert best_first([*unscored, *scores]) == [2, 1, 0]
    assert math.isnan(better_than_best([*unscored, *scores])[0])
    assert better_than_best([]) == []


def test_constant_predictions_are_told_from_low_scores(rows):
    y, members, groups, folds = rows
    members[0, :, 1] = folds  # a constant in each fold
    score, _, _ = score_members(y, members, groups, 100, 0, folds)
    assert score.constant.tolist() == [False, True, False]
