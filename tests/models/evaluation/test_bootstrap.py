import numpy as np
import pytest

from models.evaluation.bootstrap import (
    RESAMPLES_AT_ONCE,
    bootstrap_scores,
    percentile_interval,
    probability_better,
    resample_counts,
)
from models.metrics import mean_pearson


def plain_loop(true, pred, groups, n_resamples, seed, folds=None):
    """One resampled table after another, scored by models.metrics; people are drawn by fold."""
    folds = np.zeros(len(true), int) if folds is None else folds
    generator, parts = np.random.default_rng(seed), []
    for fold in np.unique(folds):
        names = np.unique(groups[folds == fold])
        blocks = resample_counts(len(names), n_resamples, generator)
        parts.append((names, np.concatenate(list(blocks)).astype(int)))
    scores = []
    for number in range(n_resamples):
        drawn = [np.repeat(names, counts[number]) for names, counts in parts]
        rows = np.concatenate([np.flatnonzero(groups == n) for n in np.concatenate(drawn)])
        scores.append(mean_pearson(true[rows], pred[rows], folds[rows]))
    return np.array(scores)


@pytest.fixture
def clips():
    rng = np.random.default_rng(0)
    groups = np.array([f"p{number}" for number in rng.integers(6, size=25)])
    true = rng.normal(size=(25, 3)) + 100
    return true, true + rng.normal(size=(25, 3)), groups


@pytest.mark.parametrize("n_folds", [1, 2])
def test_scores_equal_a_plain_loop_that_draws_people_inside_each_fold(clips, n_folds):
    true, pred, groups = clips
    folds = np.unique(groups, return_inverse=True)[1] % n_folds
    true[::4, 1] = np.nan
    true[folds == 1, 2] = np.nan
    pred += 3.0 * folds[:, None]  # the folds' models differ in mean
    scores = bootstrap_scores(true, pred, groups, 300, 1, folds if n_folds > 1 else None)
    np.testing.assert_allclose(scores, plain_loop(true, pred, groups, 300, 1, folds), atol=1e-9)


def test_many_members_score_as_each_alone(clips):
    true, pred, groups = clips
    true[::4, 1] = np.nan
    true[3] = np.nan
    noise = np.random.default_rng(5).normal(size=pred.shape)
    members = np.stack([pred, pred + noise, np.full_like(pred, 0.2), 1e6 + pred])
    n_resamples = RESAMPLES_AT_ONCE + 44
    scores = bootstrap_scores(true, members, groups, n_resamples, 6)
    assert scores.shape == (4, n_resamples)
    for member, alone in zip(members, scores, strict=True):
        expected = bootstrap_scores(true, member, groups, n_resamples, 6)
        np.testing.assert_allclose(alone, expected, atol=1e-12)
    assert not scores[2].any()
    assert bootstrap_scores(true, members[:0], groups, 10, 6).shape == (0, 10)


def test_ties_count_half_and_resamples_without_a_score_not_at_all():
    nan = np.nan
    a, b = np.array([0.5, 0.2, 0.1, nan, 0.3]), np.array([0.4, 0.2, 0.3, 0.1, nan])
    assert probability_better(a, b) == 0.5
    assert probability_better(a, a + 1e-15) == 0.5
    assert np.isnan(probability_better(a, np.full(5, nan)))


def test_a_labelled_row_without_a_prediction_is_refused(clips):
    true, pred, groups = clips
    members = np.stack([pred, pred])
    members[1, 4, 0] = np.nan
    with pytest.raises(ValueError, match="1 labelled rows have a NaN prediction"):
        bootstrap_scores(true, members, groups, 10, 0)
    true[4] = np.nan
    assert np.isfinite(bootstrap_scores(true, members, groups, 10, 0)).all()


def test_degenerate_resamples_score_as_the_metric_does(clips):
    true, pred, groups = (each[np.isin(clips[2], ["p0", "p1"])] for each in clips)
    pred[:, 0] = 0.3
    first = groups == "p1"
    true[first, 1], true[~first, 1] = 0.5, 0.7
    true[np.arange(len(groups)) != np.argmax(first), 2] = np.nan
    scores = bootstrap_scores(true, pred, groups, 40, 2)
    np.testing.assert_allclose(scores, plain_loop(true, pred, groups, 40, 2), atol=1e-9)


@pytest.mark.parametrize("labelled_people", [0, 1])
def test_fewer_than_two_labelled_people_have_no_interval(clips, labelled_people):
    true, pred, groups = clips
    true[~np.isin(groups, ["p0"][:labelled_people])] = np.nan
    interval = percentile_interval(bootstrap_scores(true, pred, groups, 20, 0))
    assert np.isnan([interval.low, interval.high]).all()
