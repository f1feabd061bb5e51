import lightgbm
import numpy as np
import pytest

from models.folds import assign_folds
from models.heads.lightgbm import FEWEST_LEAVES, LightGBMHead
from models.view import FoldedView


@pytest.fixture
def clips():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 5)).astype(np.float32)
    return x, np.stack([np.abs(x[:, 0]), x[:, 1] * x[:, 2]], axis=1)


@pytest.mark.parametrize(("most_per_tree", "n_components"), [(512, None), (1, 2)])
def test_equals_one_booster_per_target(clips, monkeypatch, most_per_tree, n_components):
    monkeypatch.setattr("models.heads.lightgbm.FEWEST_PER_TREE", 1)
    monkeypatch.setattr("models.heads.lightgbm.MOST_PER_TREE", most_per_tree)
    x, y = clips
    y[::3, 1] = np.nan
    settings = {"n_rounds": 20, "max_bin": 63, "lambda_l2": 1.0, "seed": 3}
    head = LightGBMHead(n_components=n_components, **settings).fit(x, y)
    z = head.input_scaler_.transform(x)
    fraction = 0.3
    if n_components:  # stand beside the columns
        z = np.concatenate([z, head.projection_.apply(z)], axis=1)
        fraction = 1 / z.shape[1]
    for number, target in enumerate(y.T):
        known = ~np.isnan(target)
        mean, size = target[known].mean(), target[known].std()
        peer = lightgbm.LGBMRegressor(
            n_estimators=20,
            learning_rate=0.05,
            num_leaves=FEWEST_LEAVES,
            min_child_samples=20,
            reg_lambda=1.0,
            max_bin=63,
            colsample_bytree=fraction,
            subsample=0.7,
            subsample_freq=1,
            random_state=3,
            verbosity=-1,
            n_jobs=1,
        ).fit(z[known], (target[known] - mean) / size)
        found = (head.predict(x)[:, number] - mean) / size
        # Bins are made of all rows.
        np.testing.assert_allclose(found, peer.predict(z), atol=1e-6 if known.all() else 0.2)


def test_columns_are_chosen_inside_the_training_set(monkeypatch):
    monkeypatch.setattr("models.heads.lightgbm.columns_per_tree", lambda n_rows: 1)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 50)).astype(np.float32)
    y = np.stack([x[:, 7] + 0.5 * x[:, 9], -x[:, 3] + 0.5 * x[:, 1]], axis=1)
    y[50:, 1] = np.nan
    head = LightGBMHead(n_rounds=1, columns_per_target=1).fit(x, y)
    assert head.columns_.tolist() == [1, 3, 7, 9]  # two for each target: twice what a tree sees


def test_the_number_of_cores_does_not_matter(clips, monkeypatch):
    x, y = clips
    x, y = np.tile(x, (3, 1)), np.tile(y, (3, 1)) + np.arange(450)[:, None] % 7
    people = np.arange(450) // 5
    view = FoldedView(x, y, people, assign_folds(people, 3, 0))
    found = []
    for n_cores in (1, 5):
        monkeypatch.setattr("models.heads.lightgbm.joblib.cpu_count", lambda n=n_cores: n)
        monkeypatch.setattr("models.heads.lightgbm.ROWS_PER_THREAD", 100)
        found.append(LightGBMHead(n_rounds=30).cross_fit(view).oof.tobytes())
    assert found[0] == found[1]
