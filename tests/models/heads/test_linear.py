import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from models.heads.linear import RidgeHead

SMALL = [
    (shape, 3, alpha) for shape in ((60, 12), (25, 200), (40, 1)) for alpha in (1e-3, 0.5, 30.0)
]
MANY_TARGETS = [((900, 401), 409, 0.1), ((900, 512), 48, 1e-3), ((450, 900), 48, 1e-3)]


@pytest.mark.parametrize(("shape", "n_targets", "alpha"), SMALL + MANY_TARGETS, ids=str)
def test_equals_scikit_learn_at_a_fixed_penalty(shape, n_targets, alpha):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=shape), 0.4 + 0.1 * rng.normal(size=(shape[0], n_targets))
    if n_targets == 3:  # of inputs that go together
        x = x @ rng.normal(size=(shape[1], shape[1]))
        y += 0.1 * x[:, :1]
    z = StandardScaler().fit_transform(x)
    expected = Ridge(alpha * z.size / min(shape)).fit(z, y).predict(z)
    found = RidgeHead(alphas=(alpha,)).fit(x, y).predict(x)
    np.testing.assert_allclose(found, expected, atol=1e-5 if n_targets == 3 else 1e-4)


def test_targets_with_gaps_equal_fits_on_their_own_rows():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 8)), rng.normal(size=(50, 3))
    rows = np.arange(50) % 4 > 0
    gaps = np.where(rows[:, None] | [True, False, True], y, np.nan)
    z = StandardScaler().fit_transform(x)
    centred = z[rows] - z[rows].mean(axis=0)
    peer = Ridge(0.2 * np.square(centred).sum() / 8).fit(z[rows], y[rows, 1])
    head = RidgeHead(alphas=(0.2,)).fit(x, gaps)
    np.testing.assert_allclose(head.predict(x)[:, 1], peer.predict(z), atol=1e-5)
    full = RidgeHead(alphas=(0.2,)).fit(x, y)
    np.testing.assert_allclose(head.predict(x)[:, 0], full.predict(x)[:, 0], atol=1e-10)


def test_the_penalty_is_chosen_per_target_on_folds_of_people():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(80, 30))
    y = np.stack([x[:, 0] + 0.01 * rng.normal(size=80), rng.normal(size=80)], axis=1)
    clean, noise = RidgeHead().fit(x, y).alpha_
    assert clean < 0.1 < 10 < noise
    # Inputs name the person, and the target is a person's habit: new people cannot be predicted.
    rng = np.random.default_rng(2)
    person = np.repeat(np.arange(15), 8)
    x = rng.normal(size=(15, 40))[person] + 0.1 * rng.normal(size=(120, 40))
    y = rng.normal(size=(15, 1))[person] + 0.3 * rng.normal(size=(120, 1))
    assert RidgeHead().fit(x, y, person).alpha_[0] > 10 * RidgeHead().fit(x, y).alpha_[0]
