import numpy as np
import pytest

from models.bootstrap import Interval, bootstrap_interval, bootstrap_scores, resample_counts
from models.metrics import mean_pearson


def plain_loop(true, pred, groups, n_resamples, seed):
    """One resampled table after another, scored by models.metrics."""
    names = np.unique(groups)
    scores = []
    for counts in resample_counts(len(names), n_resamples, seed).astype(int):
        rows = [np.flatnonzero(groups == name) for name in np.repeat(names, counts)]
        rows = np.concatenate(rows)
        scores.append(mean_pearson(true[rows], pred[rows]))
    return np.array(scores)


@pytest.fixture
def clips():
    rng = np.random.default_rng(0)
    groups = np.array([f"p{number}" for number in rng.integers(6, size=25)])
    true = rng.normal(size=(25, 3)) + 100
    return true, true + rng.normal(size=(25, 3)), groups


def test_scores_equal_a_plain_loop(clips):
    true, pred, groups = clips
    true[rng_rows := np.arange(0, 25, 4), 1] = np.nan
    assert len(rng_rows)
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


def test_interval_holds_the_score_and_widens_with_the_level(clips):
    true, pred, groups = clips
    interval = bootstrap_interval(true, pred, groups, 500, 0)
    wide = bootstrap_interval(true, pred, groups, 500, 0, level=0.99)
    assert interval.low < mean_pearson(true, pred) < interval.high
    assert wide.low < interval.low
    assert wide.high > interval.high


def test_whole_people_are_drawn():
    # Two clips of each person are copies, so the spread is that of half as many rows.
    rng = np.random.default_rng(3)
    true = np.repeat(rng.normal(size=(40, 1)), 2, axis=0)
    pred = true + np.repeat(rng.normal(size=(40, 1)), 2, axis=0)
    by_person = bootstrap_scores(true, pred, np.repeat(np.arange(40), 2), 1000, 0).std()
    by_clip = bootstrap_scores(true, pred, np.arange(80), 1000, 0).std()
    assert by_person > 1.2 * by_clip


def test_equal_groups_and_seed_give_paired_resamples(clips):
    true, pred, groups = clips
    again = bootstrap_scores(true, 2 * pred + 1, groups, 50, 4)
    np.testing.assert_allclose(again, bootstrap_scores(true, pred, groups, 50, 4), atol=1e-12)


@pytest.mark.parametrize("labelled_people", [0, 1])
def test_fewer_than_two_labelled_people_have_no_interval(clips, labelled_people):
    true, pred, groups = clips
    true[~np.isin(groups, ["p0"][:labelled_people])] = np.nan
    interval = bootstrap_interval(true, pred, groups, 20, 0)
    assert isinstance(interval, Interval)
    assert np.isnan([interval.low, interval.high]).all()
