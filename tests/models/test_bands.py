import numpy as np
import pytest

from models.bands import choose_factors, mixtures_from
from models.folds import WHOLE, assign_folds
from models.heads import make_head
from models.metrics import mean_pearson
from models.scaling import band_shares
from models.view import FoldedView

BANDS = (10, 400)


def joined(n_rows=300, seed=0):
    """An encoder that tells, and a wide one that does not; held-out rows."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_rows + 30, sum(BANDS))).astype(np.float32)
    y = 0.3 * x[:, :10] @ rng.normal(size=(10, 2)) + rng.normal(size=(n_rows + 30, 2))
    groups = rng.integers(60, size=n_rows)
    return x[:n_rows], y[:n_rows], groups, assign_folds(groups, 5, 0), x[n_rows:]


def test_mixtures_share_out_the_variance_there_is():
    shares = band_shares((10, 400, 50)) * mixtures_from((10, 400, 50))
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert {tuple(row) for row in np.eye(3)} <= {tuple(row) for row in shares.round(9)}


@pytest.mark.parametrize("kind", ["ridge", "kernel_ridge", "mlp"])
def test_an_encoder_that_tells_nothing_costs_next_to_nothing(kind):
    x, y, groups, folds, held = joined()
    alone = make_head({"kind": kind}, 0, (10,)).cross_fit(FoldedView(x[:, :10], y, groups, folds))
    head = make_head({"kind": kind}, 0, BANDS)
    fit = head.cross_fit(FoldedView(x, y, groups, folds, held, bands=BANDS))
    best = mean_pearson(y, alone.oof, folds)
    assert mean_pearson(y, fit.oof, folds) > best - 0.02 > 0.4
    np.testing.assert_array_equal(fit.head.predict(held), fit.held)
    by_itself = head.fit(x, y, groups).predict(held)
    assert np.corrcoef(by_itself[:, 0], fit.held[:, 0])[0, 1] > 0.95


def test_labels_of_a_fold_have_no_say_in_what_is_chosen_without_it():
    x, y, _, folds, _ = joined()
    other = np.where((folds == 0)[:, None], np.random.default_rng(1).normal(size=y.shape), y)
    before, after = (choose_factors(x, each, folds, BANDS, [0, WHOLE]) for each in (y, other))
    np.testing.assert_array_equal(before[0], after[0])


def test_noise_and_gaps_leave_the_encoders_as_they_are():
    x, y, _, folds, _ = joined(60)
    y = np.random.default_rng(2).normal(size=y.shape)
    y[::2, 0] = np.nan
    y[1::2, 1] = np.nan
    assert choose_factors(x[:60], y, folds, BANDS, [0, WHOLE]) == {0: None, WHOLE: None}
