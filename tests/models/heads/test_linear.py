import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from models.heads.linear import RidgeHead


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
    head = RidgeHead().fit(x, y)
    clean, noise = head.alpha_
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
