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


@pytest.fixture
def stops_early(monkeypatch):
    monkeypatch.setattr("models.heads.lightgbm.LEAST_HELD", 5)


def test_sees_what_a_line_cannot(clips):
    x, y = clips
    predicted = LightGBMHead().fit(x[:100], y[:100]).predict(x[100:])
    assert mean_pearson(y[100:, :1], predicted[:, :1]) > 0.7


def test_equals_one_booster_per_target(clips):
    x, y = clips
    head = LightGBMHead(n_rounds=20, learning_rate=0.05, max_bin=63, seed=3).fit(x, y)
    z = head.input_scaler_.transform(x)
    for number, target in enumerate(y.T):
        peer = lightgbm.LGBMRegressor(
            n_estimators=20,
            learning_rate=0.05,
            num_leaves=8,
            min_child_samples=10,
            reg_lambda=1.0,
            max_bin=63,
            colsample_bytree=0.5,
            subsample=0.5,
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
    assert LightGBMHead(n_components=None, n_rounds=2).fit(x, x[:, :1]).projection_ is None


def test_rounds_are_those_with_the_least_error_on_held_out_people(clips, stops_early):
    x, y = clips
    noise = np.random.default_rng(0).normal(size=150)
    people = np.arange(150) // 5
    both = np.stack([noise, y[:, 0]], axis=1)
    head = LightGBMHead(n_rounds=60, patience=60).fit(x, both, people)
    z = head.input_scaler_.transform(x)
    held = head._held(people)
    assert not set(people[held]) & set(people[~held])
    target = (noise - noise.mean()) / noise.std()
    parameters = head._parameters(n_threads=1)
    data = lightgbm.Dataset(z, target, params=parameters).construct()
    parts = [data.subset(np.flatnonzero(rows)).construct() for rows in (~held, held)]
    errors = {}
    lightgbm.train(
        parameters, parts[0], 60, [parts[1]], callbacks=[lightgbm.record_evaluation(errors)]
    )
    best = int(np.argmin(errors["valid_0"]["l2"])) + 1
    assert best < 20
    assert head.boosters_[0].num_trees() == best
    assert head.boosters_[1].num_trees() > best


def test_without_patience_or_with_few_rows_all_trees_are_grown(clips, monkeypatch):
    x, _ = clips
    noise = np.random.default_rng(0).normal(size=(150, 1))
    assert LightGBMHead(n_rounds=50).fit(x, noise).boosters_[0].num_trees() == 50
    monkeypatch.setattr("models.heads.lightgbm.LEAST_HELD", 5)
    assert LightGBMHead(n_rounds=50).fit(x, noise).boosters_[0].num_trees() < 50
    head = LightGBMHead(n_rounds=50, patience=None).fit(x, noise)
    assert head.boosters_[0].num_trees() == 50


def test_the_number_of_cores_does_not_matter(clips, monkeypatch, stops_early):
    x, y = clips
    x, y = np.tile(x, (3, 1)), np.tile(y, (3, 1)) + np.arange(450)[:, None] % 7
    found = []
    for n_cores in (1, 5):
        monkeypatch.setattr("models.heads.lightgbm.joblib.cpu_count", lambda n=n_cores: n)
        monkeypatch.setattr("models.heads.lightgbm.ROWS_PER_THREAD", 100)
        found.append(LightGBMHead(n_rounds=30).fit(x, y).predict(x).tobytes())
    assert found[0] == found[1]
