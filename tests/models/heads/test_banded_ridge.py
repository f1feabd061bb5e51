import numpy as np
import pytest

from models.folds import assign_folds
from models.heads import make_head
from models.heads.banded_ridge import MOST_MIXTURES, mixtures_of
from models.heads.base import Head
from models.metrics import mean_pearson
from models.view import FoldedView


def two_encoders(n_rows=200, n_noise=150, seed=0):
    """Five columns that tell, beside many that do not."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_rows, 5 + n_noise)).astype(np.float32)
    y = x[:, :5] @ rng.normal(size=(5, 3)) + 2 * rng.normal(size=(n_rows, 3))
    return x, y, rng.integers(25, size=n_rows)


def test_the_noisy_encoder_loses_its_weight():
    x, y, groups = two_encoders()
    banded = make_head({"kind": "banded_ridge"}, 0, bands=(5, 150)).fit(
        x[:150], y[:150], groups[:150]
    )
    plain = make_head({"kind": "ridge"}, 0).fit(x[:150], y[:150], groups[:150])
    assert (banded.weights_[:, 0] > 0.7).all()
    np.testing.assert_allclose(banded.weights_.sum(axis=1), 1)
    ours, theirs = (mean_pearson(y[150:], head.predict(x[150:])) for head in (banded, plain))
    assert ours > theirs + 0.05


@pytest.mark.parametrize("n_noise", [20, 250], ids=["primal", "dual"])
def test_cross_fit_equals_the_plain_loop(n_noise):
    x, y, groups = two_encoders(n_noise=n_noise)
    view = FoldedView(x[:160], y[:160], groups[:160], assign_folds(groups[:160], 4, 0), x[160:])
    head = make_head({"kind": "banded_ridge"}, 0, bands=(5, 8, n_noise - 8))
    fast, plain = head.cross_fit(view), Head.cross_fit(head, view)
    np.testing.assert_allclose(fast.oof, plain.oof, atol=1e-4)
    np.testing.assert_allclose(fast.held, plain.held, atol=1e-4)


def test_one_band_is_plain_ridge():
    x, y, groups = two_encoders()
    banded, plain = (
        make_head({"kind": kind}, 0).fit(x, y, groups) for kind in ("banded_ridge", "ridge")
    )
    np.testing.assert_allclose(banded.predict(x), plain.predict(x), atol=1e-6)


def test_bands_of_another_width_are_refused():
    x, y, groups = two_encoders()
    with pytest.raises(ValueError, match=r"\(5, 100\) are 105 columns, X has 155"):
        make_head({"kind": "banded_ridge"}, 0, bands=(5, 100)).fit(x, y, groups)


@pytest.mark.parametrize("n_bands", range(1, 9))
def test_mixtures_hold_equal_weights_and_each_band_alone(n_bands):
    mixtures = mixtures_of(n_bands)
    np.testing.assert_allclose(mixtures.sum(axis=1), 1)
    assert len(mixtures) <= MOST_MIXTURES + 1
    assert np.unique(mixtures, axis=0).shape == mixtures.shape
    np.testing.assert_allclose(mixtures[0], 1 / n_bands)
    for row in np.eye(n_bands):
        assert (mixtures == row).all(axis=1).any()
