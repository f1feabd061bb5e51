import numpy as np
import pytest

from models.heads.mlp import MLPHead
from models.metrics import mean_pearson


@pytest.fixture
def clips():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4)).astype(np.float32)
    return x, np.stack([np.abs(x[:, 0]), x[:, 1]], axis=1)


def test_sees_what_a_line_cannot(clips):
    x, y = clips
    head = MLPHead(learning_rate=5e-3, n_seeds=2).fit(x[:200], y[:200])
    assert mean_pearson(y[200:, :1], head.predict(x[200:])[:, :1]) > 0.6


def test_another_seed_gives_another_fit(clips):
    x, y = clips
    first, second = (MLPHead(max_epochs=3, seed=seed).fit(x, y).predict(x) for seed in (0, 1))
    assert not np.array_equal(first, second)


def test_members_hold_out_different_people():
    groups = np.repeat(np.arange(10), 3)
    held = MLPHead(n_seeds=5)._validation_rows(groups)
    np.testing.assert_array_equal(held.sum(axis=0), 1)
    for rows in held:
        assert not set(groups[rows]) & set(groups[~rows])


def test_noise_stays_close_to_the_mean(clips):
    x, _ = clips
    noise = np.random.default_rng(1).normal(size=(300, 1))
    head = MLPHead(seed=0).fit(x[:60], noise[:60])
    assert head.predict(x[60:]).std() < 0.5 * noise.std()
