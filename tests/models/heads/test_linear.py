import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from models.folds import assign_folds
from models.heads import make_head
from models.heads.linear import MOST_MIXTURES, BandedRidgeHead, RidgeHead, mixtures_of
from models.metrics import mean_pearson
from models.view import FoldedView
from tests.models.small import plain_cross_fit


def problem(n_rows, n_columns, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_rows, n_columns)) @ rng.normal(size=(n_columns, n_columns))
    y = x[:, : min(3, n_columns)] + rng.normal(size=(n_rows, min(3, n_columns)))
    return x, 0.4 + 0.1 * y


@pytest.mark.parametrize(("n_rows", "n_columns"), [(60, 12), (25, 200), (40, 1)])
@pytest.mark.parametrize("alpha", [1e-3, 0.5, 30.0])
def test_equals_scikit_learn_at_a_fixed_penalty(n_rows, n_columns, alpha):
    x, y = problem(n_rows, n_columns)
    scaler = StandardScaler().fit(x)
    unit = n_rows * n_columns / min(n_rows, n_columns)
    peer = Ridge(alpha * unit).fit(scaler.transform(x), y)
    np.testing.assert_allclose(
        RidgeHead(alphas=(alpha,)).fit(x, y).predict(x),
        peer.predict(scaler.transform(x)).reshape(y.shape),
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ("shape", "n_targets", "alpha"),
    [((900, 401), 409, 0.1), ((900, 512), 48, 1e-3), ((450, 900), 48, 1e-3)],
    ids=str,
)
def test_many_targets_and_small_penalties_are_solved(shape, n_targets, alpha):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=shape), rng.normal(size=(shape[0], n_targets))
    z = StandardScaler().fit_transform(x)
    peer = Ridge(alpha * z.size / min(shape)).fit(z, y)
    found = RidgeHead(alphas=(alpha,)).fit(x, y).predict(x)
    np.testing.assert_allclose(found, peer.predict(z), atol=1e-3)


def test_targets_with_gaps_equal_fits_on_their_own_rows():
    x, y = problem(50, 8)
    gaps = y.copy()
    gaps[::4, 1] = np.nan
    rows = ~np.isnan(gaps[:, 1])
    z = StandardScaler().fit_transform(x)
    centred = z[rows] - z[rows].mean(axis=0)
    peer = Ridge(0.2 * np.square(centred).sum() / 8).fit(z[rows], y[rows, 1])
    head = RidgeHead(alphas=(0.2,)).fit(x, gaps)
    np.testing.assert_allclose(head.predict(x)[:, 1], peer.predict(z), atol=1e-5)
    full = RidgeHead(alphas=(0.2,)).fit(x, y)
    np.testing.assert_allclose(head.predict(x)[:, 0], full.predict(x)[:, 0], atol=1e-10)


def test_the_penalty_is_chosen_per_target():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(80, 30))
    y = np.stack([x[:, 0] + 0.01 * rng.normal(size=80), rng.normal(size=80)], axis=1)
    clean, noise = RidgeHead().fit(x, y).alpha_
    assert clean < 0.1
    assert noise > 10


def test_grouped_folds_shrink_what_only_names_the_person():
    # Inputs name the person, and the target is a person's habit: new people cannot be predicted.
    rng = np.random.default_rng(2)
    person = np.repeat(np.arange(15), 8)
    x = rng.normal(size=(15, 40))[person] + 0.1 * rng.normal(size=(120, 40))
    y = rng.normal(size=(15, 1))[person] + 0.3 * rng.normal(size=(120, 1))
    by_person = RidgeHead().fit(x, y, person).alpha_[0]
    by_clip = RidgeHead().fit(x, y).alpha_[0]
    assert by_person > 10 * by_clip


@pytest.fixture
def two_encoders():
    """Five columns that tell, beside 150 that do not."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 155)).astype(np.float32)
    y = x[:, :5] @ rng.normal(size=(5, 3)) + 2 * rng.normal(size=(200, 3))
    return x, y, rng.integers(25, size=200)


def test_the_noisy_encoder_loses_its_weight(two_encoders):
    x, y, groups = two_encoders
    heads = make_head({"kind": "banded_ridge"}, 0, bands=(5, 150)), make_head({"kind": "ridge"}, 0)
    banded, plain = (head.fit(x[:150], y[:150], groups[:150]) for head in heads)
    assert (banded.weights_[:, 0] > 0.7).all()
    np.testing.assert_allclose(banded.weights_.sum(axis=1), 1)
    ours, theirs = (mean_pearson(y[150:], head.predict(x[150:])) for head in (banded, plain))
    assert ours > theirs + 0.05


@pytest.mark.parametrize("n_columns", [25, 155], ids=["primal", "dual"])
def test_with_bands_cross_fit_equals_the_plain_loop(two_encoders, n_columns):
    x, y, groups = two_encoders
    x, folds = x[:, :n_columns], assign_folds(groups[:160], 4, 0)
    view = FoldedView(x[:160], y[:160], groups[:160], folds, x[160:])
    head = BandedRidgeHead(bands=(5, 8, n_columns - 13))
    fast, (oof, held) = head.cross_fit(view), plain_cross_fit(head, view)
    np.testing.assert_allclose(fast.oof, oof, atol=1e-4)
    np.testing.assert_allclose(fast.held, held, atol=1e-4)


def test_one_band_is_plain_ridge_and_bands_of_another_width_are_refused(two_encoders):
    x, y, groups = two_encoders
    banded, plain = (head.fit(x, y, groups) for head in (BandedRidgeHead(), RidgeHead()))
    np.testing.assert_allclose(banded.predict(x), plain.predict(x), atol=1e-6)
    with pytest.raises(ValueError, match=r"\(5, 100\) are 105 columns, X has 155"):
        BandedRidgeHead(bands=(5, 100)).fit(x, y, groups)


@pytest.mark.parametrize("n_bands", range(1, 9))
def test_mixtures_hold_equal_weights_and_each_band_alone(n_bands):
    mixtures = mixtures_of(n_bands)
    np.testing.assert_allclose(mixtures.sum(axis=1), 1)
    assert len(mixtures) <= MOST_MIXTURES + 1
    assert np.unique(mixtures, axis=0).shape == mixtures.shape
    np.testing.assert_allclose(mixtures[0], 1 / n_bands)
    for row in np.eye(n_bands):
        assert (mixtures == row).all(axis=1).any()
