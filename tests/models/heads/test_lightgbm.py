import lightgbm
import numpy as np
import pytest

from models.heads.lightgbm import LightGBMHead
from models.metrics import mean_pearson


@pytest.fixture
def clips():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 5)).astype(np.float32)
    return x, np.stack([np.abs(x[:, 0]), x[:, 1] * x[:, 2]], axis=1)


def test_sees_what_a_line_cannot(clips):
    x, y = clips
    predicted = LightGBMHead().fit(x[:100], y[:100]).predict(x[100:])
    assert mean_pearson(y[100:, :1], predicted[:, :1]) > 0.7


def test_equals_one_booster_per_target(clips):
    x, y = clips
    head = LightGBMHead(n_rounds=20, seed=3).fit(x, y)
    z = head.input_scaler_.transform(x)
    for number, target in enumerate(y.T):
        peer = lightgbm.LGBMRegressor(
            n_estimators=20,
            learning_rate=0.05,
            num_leaves=8,
            min_child_samples=10,
            reg_lambda=1.0,
            colsample_bytree=0.5,
            subsample=0.8,
            subsample_freq=1,
            random_state=3,
            verbosity=-1,
            n_jobs=1,
        ).fit(z, (target - target.mean()) / target.std())
        expected = peer.predict(z) * target.std() + target.mean()
        np.testing.assert_allclose(head.predict(x)[:, number], expected, atol=1e-6)


def test_wide_views_are_projected():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(30, 50))
    head = LightGBMHead(n_components=6, n_rounds=2).fit(x, x[:, :1])
    assert head.boosters_[0].num_feature() == 6
