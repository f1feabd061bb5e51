import numpy as np
import pytest

from models.heads.mlp import MLPHead


@pytest.mark.parametrize("loss", ["mse", "pearson", "ccc"])
def test_predicts_in_target_units_beside_a_constant_and_scarce_labels(loss):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4)).astype(np.float32)
    y = 100 + 20 * np.stack([np.abs(x[:, 0]), x[:, 1], np.full(300, 0.7), x[:, 2]], axis=1)
    known = np.where((np.arange(300) > 2)[:, None] & [0, 0, 0, 1], np.nan, y)
    head = MLPHead(loss=loss, n_seeds=2, dropout=0.0, max_epochs=40).fit(x[:200], known[:200])
    predicted = head.predict(x[200:])
    assert np.isfinite(predicted).all()
    np.testing.assert_allclose(predicted[:, 2], 114, atol=1e-4)
    error = np.square(predicted - y[200:])[:, :2].mean(axis=0)
    assert (error < 0.6 * y[200:, :2].var(axis=0)).all()


def test_members_hold_out_different_people():
    groups = np.repeat(np.arange(10), 3)
    part = MLPHead(n_seeds=10)._training_set(np.zeros((30, 2)), np.zeros((30, 1)), groups)
    np.testing.assert_array_equal(part.held.sum(axis=0), 1)
    for rows in part.held:
        assert not set(groups[rows]) & set(groups[~rows])
