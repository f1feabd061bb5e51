import numpy as np
import pytest

from models.evaluation.bootstrap import (
    RESAMPLES_AT_ONCE,
    Interval,
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


def test_scores_equal_a_plain_loop(clips):
    true, pred, groups = clips
    true[::4, 1] = np.nan
    np.testing.assert_allclose(
        bootstrap_scores(true, pred, groups, 200, 1),
        plain_loop(true, pred, groups, 200, 1),
        atol=1e-9,
    )


def test_degenerate_resamples_score_as_the_metric_does(clips):
    true, pred, groups = clips
    pred[:, 0] = 0.3
    for person in np.unique(groups):
        true[groups == person, 1] = true[groups == person, 1][0]
    true[groups != "p1", 2] = np.nan
    true[np.flatnonzero(groups == "p1")[1:], 2] = np.nan
    few = np.isin(groups, ["p0", "p1"])
    scores = bootstrap_scores(true[few], pred[few], groups[few], 40, 2)
    np.testing.assert_allclose(
        scores, plain_loop(true[few], pred[few], groups[few], 40, 2), atol=1e-9
    )


def test_out_of_fold_people_are_drawn_and_scored_inside_each_fold(clips):
    true, pred, groups = clips
    folds = np.unique(groups, return_inverse=True)[1] % 2
    true[::4, 1] = np.nan
    true[folds == 0, 2] = np.nan
    pred += 3.0 * folds[:, None]  # the folds' models differ in mean
    scores = bootstrap_scores(true, pred, groups, 300, 1, folds)
    np.testing.assert_allclose(scores, plain_loop(true, pred, groups, 300, 1, folds), atol=1e-9)
    np.testing.assert_allclose(
        scores, bootstrap_scores(true, pred - folds[:, None], groups, 300, 1, folds), atol=1e-9
    )


def test_out_of_fold_the_mean_predictor_is_zero_in_every_resample(clips):
    true, _, groups = clips
    folds = np.unique(groups, return_inverse=True)[1] % 3
    means = np.stack([true[folds != fold].mean(axis=0) for fold in range(3)])[folds]
    assert not bootstrap_scores(true, means, groups, 50, 0, folds).any()
    assert bootstrap_scores(true, means, groups, 50, 0).mean() < -0.1


def test_the_interval_holds_the_score(clips):
    true, pred, groups = clips
    interval = percentile_interval(bootstrap_scores(true, pred, groups, 500, 0))
    assert interval.low < mean_pearson(true, pred) < interval.high


def test_whole_people_are_drawn():
    # Two clips of each person are copies, so the spread is that of half as many rows.
    rng = np.random.default_rng(3)
    true = np.repeat(rng.normal(size=(40, 1)), 2, axis=0)
    pred = true + np.repeat(rng.normal(size=(40, 1)), 2, axis=0)
    by_person = bootstrap_scores(true, pred, np.repeat(np.arange(40), 2), 1000, 0).std()
    by_clip = bootstrap_scores(true, pred, np.arange(80), 1000, 0).std()
    assert by_person > 1.2 * by_clip


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
    np.testing.assert_allclose(
        scores[1], plain_loop(true, members[1], groups, n_resamples, 6), atol=1e-9
    )
    assert not scores[2].any()
    assert bootstrap_scores(true, members[:0], groups, 10, 6).shape == (0, 10)


def test_the_better_member_is_better_in_most_resamples(clips):
    true, pred, groups = clips
    noise = np.random.default_rng(7).normal(size=pred.shape)
    worse, better = bootstrap_scores(true, np.stack([pred + noise, pred]), groups, 500, 0)
    assert probability_better(better, worse) > 0.8
    assert probability_better(worse, better) == pytest.approx(1 - probability_better(better, worse))
    assert percentile_interval(better - worse).high > 0


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


@pytest.mark.parametrize("labelled_people", [0, 1])
def test_fewer_than_two_labelled_people_have_no_interval(clips, labelled_people):
    true, pred, groups = clips
    true[~np.isin(groups, ["p0"][:labelled_people])] = np.nan
    interval = percentile_interval(bootstrap_scores(true, pred, groups, 20, 0))
    assert isinstance(interval, Interval)
    assert np.isnan([interval.low, interval.high]).all()
