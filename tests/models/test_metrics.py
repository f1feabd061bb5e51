import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr

from models.metrics import (
    constant_columns,
    mean_pearson,
    official_mean_pearson,
    official_pearson,
    pearson,
)


@pytest.fixture
def scored():
    rng = np.random.default_rng(0)
    true = rng.normal(size=(30, 3))
    return true, 0.5 * true + rng.normal(size=(30, 3))


def test_pearson_equals_scipy_on_the_labelled_rows_of_each_target(scored):
    true, pred = scored
    true[:10, 1], true[1:, 2] = np.nan, np.nan
    expected = [pearsonr(true[n:, t], pred[n:, t]).statistic for t, n in enumerate((0, 10))]
    np.testing.assert_allclose(pearson(true, pred), [*expected, np.nan], rtol=1e-12)
    assert mean_pearson(true, pred) == pytest.approx(np.mean(expected))
    assert np.isnan(mean_pearson(true[:, 2:], pred[:, 2:]))


@given(flat=st.sets(st.integers(0, 2)), seed=st.integers(0, 99))
def test_the_official_metric_is_the_plain_mean_and_undefined_with_a_constant_or_gap(flat, seed):
    rng = np.random.default_rng(seed)
    true, pred = rng.uniform(size=(20, 3)), rng.uniform(size=(20, 3))
    pred[:, sorted(flat)] = 0.1  # its mean is not quite 0.1: without care, noise is scored
    expected = [pearsonr(t, p).statistic for t, p in zip(true.T, pred.T, strict=True) if np.ptp(p)]
    by_target = official_pearson(true, pred)
    assert set(np.flatnonzero(np.isnan(by_target))) == flat
    np.testing.assert_allclose(by_target[~np.isnan(by_target)], expected)
    if flat:
        assert np.isnan(official_mean_pearson(true, pred))
    else:
        assert official_mean_pearson(true, pred) == pytest.approx(np.mean(expected))
        assert official_mean_pearson(true, pred) == mean_pearson(true, pred)
    assert np.isnan(official_mean_pearson(true[:0], pred[:0]))
    true[3, 1] = np.nan
    assert set(np.flatnonzero(np.isnan(official_pearson(true, pred)))) == flat | {1}


@given(offset=st.floats(-1e6, 1e6), size=st.floats(1e-3, 1e3))
def test_constant_up_to_rounding_scores_zero(offset, size):
    true = np.linspace(0, 1, 9)[:, None]
    constant = np.full((9, 1), offset * size)
    constant[::2] = np.nextafter(constant[::2], np.inf)
    assert pearson(true, constant)[0] == 0.0
    assert pearson(constant, true)[0] == 0.0


def test_out_of_fold_it_is_the_mean_over_folds(scored):
    true, pred = scored
    folds = np.arange(30) % 3
    expected = np.mean([pearson(true[folds == f], pred[folds == f]) for f in range(3)], axis=0)
    np.testing.assert_allclose(pearson(true, pred, folds), expected)
    assert mean_pearson(true, pred, folds) == pytest.approx(expected.mean())
    with pytest.raises(ValueError, match="y_true 30, fold_of_row 3"):
        pearson(true, pred, folds[:3])
    true[(folds == 1) & (np.arange(30) > 1), 0] = np.nan  # a fold without two labels is left out
    others = [pearson(true[folds == f], pred[folds == f])[0] for f in (0, 2)]
    assert pearson(true, pred, folds)[0] == pytest.approx(np.mean(others))


def test_constant_predictions_are_flagged_out_of_fold_inside_every_fold(scored):
    true, pred = scored
    folds = np.arange(30) % 3
    by_fold = np.stack([folds, np.where(folds == 2, pred[:, 1], folds), pred[:, 2]], axis=1)
    assert not constant_columns(true, by_fold).any()
    assert constant_columns(true, by_fold, folds).tolist() == [True, False, False]
    assert pearson(true, by_fold, folds)[0] == 0.0
    pred[5:, 1] = 0.3
    true[:5, 1] = np.nan  # only labelled rows count
    true[:, 2] = 0.5  # a constant label is no fault of the prediction
    assert constant_columns(true, pred).tolist() == [False, True, False]
    assert pearson(true, pred)[1] == 0.0
    true[1:, 1] = np.nan
    assert not constant_columns(true, pred)[1]


@pytest.mark.parametrize(
    ("y_true", "y_pred", "message"),
    [
        ([[0.0], [1.0]], [[0.0], [np.nan]], "1 labelled rows have a NaN prediction"),
        ([[0.0], [1.0]], [[0.0, 1.0]], r"y_true has shape \(2, 1\) and y_pred \(1, 2\)"),
        ([0.0, 1.0], [0.0, 1.0], r"reshape\(-1, 1\)"),
    ],
)
def test_what_cannot_be_scored_is_refused(y_true, y_pred, message):
    with pytest.raises(ValueError, match=message):
        pearson(y_true, y_pred)
