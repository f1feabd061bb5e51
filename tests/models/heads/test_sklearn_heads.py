"""Heads made of scikit-learn's regressors."""

import numpy as np
import pytest
from sklearn.cross_decomposition import PLSRegression
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import ElasticNet
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neighbors import KNeighborsRegressor
from sklearn.svm import LinearSVR

from models.folds import inner_folds
from models.heads import make_head
from models.heads.sklearn_heads import NeighboursHead, PLSHead, RandomTreesHead
from tests.models.small import clips

SVR = {"epsilon": 0.1, "loss": "squared_epsilon_insensitive", "dual": False, "tol": 1e-4}
PEERS = {
    "elastic_net": ({"alphas": (0.05,)}, ElasticNet(alpha=0.05, tol=1e-6)),
    "linear_svr": ({"costs": (0.01,)}, MultiOutputRegressor(LinearSVR(C=0.01, **SVR))),
    "neighbours": ({"n_neighbours": (7,)}, KNeighborsRegressor(7)),
    "pls": ({"n_factors": (3,)}, PLSRegression(3, scale=False)),
    "random_trees": (
        {"n_trees": 20},
        ExtraTreesRegressor(20, min_samples_leaf=10, max_features=0.3, random_state=0),
    ),
}
"""One setting of each kind, and what it is in scikit-learn."""


@pytest.mark.parametrize("kind", PEERS)
def test_equals_scikit_learn_on_scaled_data(kind):
    x, y, groups = clips()
    settings, peer = PEERS[kind]
    head = make_head({"kind": kind, **settings}, 0).fit(x, y, groups)
    z, targets = head.input_scaler_.transform(x), (y - y.mean(axis=0)) / y.std(axis=0)
    expected = peer.fit(z, targets).predict(z)
    found = (head.predict(x) - y.mean(axis=0)) / y.std(axis=0)
    np.testing.assert_allclose(found, expected, atol=0.01)


@pytest.mark.parametrize("kind", [kind for kind in PEERS if kind not in ("pls", "random_trees")])
def test_targets_with_gaps_equal_fits_on_their_own_rows(kind):
    x, y, groups = clips()
    y[:20, 1] = np.nan
    head = make_head({"kind": kind}, 0).fit(x, y, groups)
    z = head.input_scaler_.transform(x)
    alone = make_head({"kind": kind}, 0)
    alone._begin_fit(y[20:, 1:2])
    alone.projection_ = None
    alone._fit(z[20:], alone._standardised(y[20:, 1:2]), inner_folds(groups, 0)[20:])
    np.testing.assert_allclose(head.predict(x)[:, 1:2], alone._predict_scaled(z), atol=1e-6)


@pytest.mark.parametrize("kind", PEERS)
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
