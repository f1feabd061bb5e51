import numpy as np
import pytest

from models.heads.mlp import MLPHead

LOSSES = ("mse", "pearson", "ccc")


@pytest.fixture
def clips():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4)).astype(np.float32)
    return x, np.stack([np.abs(x[:, 0]), x[:, 1]], axis=1)


@pytest.mark.parametrize("loss", LOSSES)
def test_predicts_in_target_units(clips, loss):
    x, y = clips
    y = 100 + 20 * y
    head = MLPHead(loss=loss, n_seeds=2, dropout=0.0, max_epochs=40).fit(x[:200], y[:200])
    residual = head.predict(x[200:]) - y[200:]
    assert (np.square(residual).mean(axis=0) < 0.6 * y[200:].var(axis=0)).all()


@pytest.mark.parametrize("loss", ["pearson", "ccc"])
def test_a_constant_target_and_scarce_labels_are_no_obstacle(clips, loss):
    x, y = clips
    y = np.column_stack([y[:60], np.full(60, 0.7), np.where(np.arange(60) < 3, y[:60, 0], np.nan)])
    predicted = MLPHead(loss=loss, n_seeds=2, max_epochs=5).fit(x[:60], y).predict(x[:60])
    assert np.isfinite(predicted).all()
    np.testing.assert_allclose(predicted[:, 2], 0.7, atol=1e-6)


def test_members_hold_out_different_people():
    groups = np.repeat(np.arange(10), 3)
    part = MLPHead(n_seeds=10)._training_set(np.zeros((30, 2)), np.zeros((30, 1)), groups)
    np.testing.assert_array_equal(part.held.sum(axis=0), 1)
    for rows in part.held:
        assert not set(groups[rows]) & set(groups[~rows])


def test_noise_stays_close_to_the_mean(clips):
    x, _ = clips
    noise = np.random.default_rng(1).normal(size=(300, 1))
    head = MLPHead(seed=0).fit(x[:60], noise[:60])
    assert head.predict(x[60:]).std() < 0.5 * noise.std()
