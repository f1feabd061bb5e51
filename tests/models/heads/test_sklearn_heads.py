"""Heads beside what they are in scikit-learn, and those that are made of its regressors."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.cross_decomposition import PLSRegression
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import ElasticNet
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neighbors import KNeighborsRegressor
from sklearn.svm import SVR, LinearSVR

from models.arrays import label_patterns
from models.heads import make_head
from models.heads.sklearn_heads import NeighboursHead, PLSHead, RandomTreesHead
from models.kernel import OFFSET
from tests.models.small import clips

LINEAR = {"epsilon": 0.1, "loss": "squared_epsilon_insensitive", "dual": False, "tol": 1e-4}


def gaussian(a, b):
    return np.exp(-np.square(a - b).sum() / 6) + OFFSET


MADE_OF_THEM = {
    "elastic_net": ({"alphas": (0.05,)}, ElasticNet(alpha=0.05, tol=1e-6)),
    "linear_svr": ({"costs": (0.01,)}, MultiOutputRegressor(LinearSVR(C=0.01, **LINEAR))),
    "neighbours": ({"n_neighbours": (7,)}, KNeighborsRegressor(7)),
    "pls": ({"n_factors": (3,)}, PLSRegression(3, scale=False)),
    "random_trees": (
        {"n_trees": 20},
        ExtraTreesRegressor(20, min_samples_leaf=10, max_features=0.3, random_state=0),
    ),
}
PEERS = MADE_OF_THEM | {
    "kernel_ridge": ({"alphas": (0.1,)}, KernelRidge(alpha=0.1, kernel=gaussian)),
    "svr": ({"cost": 1.0}, MultiOutputRegressor(SVR(C=1.0, gamma=1 / 6))),
}
"""One setting of each kind, and what it is in scikit-learn."""


@pytest.mark.filterwarnings("ignore:A column-vector y")
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("kind", PEERS)
def test_equals_scikit_learn_on_the_scaled_rows_of_each_target(kind, gaps):
    new, y, groups = clips(120)
    x, y, groups = new[:90], y[:90], groups[:90]
    y[: 20 * gaps, 1] = np.nan
    mean, size = np.nanmean(y, axis=0), np.nanstd(y, axis=0)
    settings, peer = PEERS[kind]
    head = make_head({"kind": kind, **settings}, 0).fit(x, y, groups)
    z, z_new = map(head.input_scaler_.transform, (x, new))
    found = (head.predict(new) - mean) / size
    for rows, columns in label_patterns(y):
        targets = ((y - mean) / size)[rows][:, columns]
        expected = clone(peer).fit(z[rows], targets).predict(z_new)
        np.testing.assert_allclose(found[:, columns], expected.reshape(120, -1), atol=0.02)


@pytest.mark.parametrize("kind", MADE_OF_THEM)
def test_wide_views_are_projected_unless_told_otherwise(kind):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(40, 60))
    for n_components, width in ((5, 5), (None, 60)):
        head = make_head({"kind": kind, "n_components": n_components}, 0).fit(x, x[:, :1])
        assert head.regressors_[0][2].n_features_in_ == width


def test_people_stay_together_when_the_number_of_neighbours_is_chosen():
    # Clips of one person are near each other and alike; other people's say nothing.
    rng = np.random.default_rng(2)
    person = np.repeat(np.arange(20), 6)
    x = rng.normal(size=(20, 8))[person] + 0.1 * rng.normal(size=(120, 8))
    y = rng.normal(size=(20, 1))[person] + 0.1 * rng.normal(size=(120, 1))
    by_person, by_clip = (
        NeighboursHead(n_neighbours=(30, 3)).fit(x, y, groups).regressors_[0][2].n_neighbors
        for groups in (person, np.arange(120))
    )
    assert (by_person, by_clip) == (30, 3)


def test_few_rows_take_the_most_cautious_candidate():
    x, y, groups = clips()
    head = PLSHead(n_factors=(4, 1)).fit(x[:9], y[:9], groups[:9])
    assert [regressor.n_components for _, _, regressor in head.regressors_] == [1]


def test_threads_do_not_change_random_trees(monkeypatch):
    x, y, groups = clips()
    alone = RandomTreesHead(n_trees=20).fit(x, y, groups).predict(x)
    monkeypatch.setattr("models.heads.sklearn_heads.VALUES_FOR_THREADS", 1)
    threaded = RandomTreesHead(n_trees=20).fit(x, y, groups).predict(x)
    assert threaded.tobytes() == alone.tobytes()
