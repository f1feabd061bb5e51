import numpy as np
import pytest
from sklearn.base import BaseEstimator

from models.arrays import DataError
from models.evaluation.bootstrap import bootstrap_scores
from models.evaluation.learning_curve import learning_curve
from models.heads import make_head
from models.metrics import mean_pearson

FITTED_ON: list[set] = []
DRAWS = {"n_resamples": 50, "seed": 1}


class LeastSquares(BaseEstimator):
    """Notes whom its copies were fitted on."""

    def fit(self, X, y, *, groups):
        FITTED_ON.append(set(groups))
        self.coef = np.linalg.lstsq(X, y, rcond=None)[0]
        return self

    def predict(self, X):
        return X @ self.coef


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    groups = np.repeat([f"p{k:02d}" for k in range(30)], 4)
    x = rng.normal(size=(200, 20)).astype(np.float32)
    y = x @ rng.normal(size=(20, 2)) + 3 * rng.normal(size=(200, 2))
    held = np.repeat([f"q{k:02d}" for k in range(20)], 4)
    return x[:120], y[:120], groups, x[120:], y[120:], held


def test_larger_sets_contain_the_smaller_and_repeats_differ(data):
    FITTED_ON.clear()
    points = learning_curve(LeastSquares(), *data, n_people=[8, 16, 30], n_repeats=3, **DRAWS)
    assert [(p.repeat, p.n_people, p.n_rows) for p in points] == [
        (repeat, n, 4 * n) for repeat in range(3) for n in (8, 16, 30)
    ]
    sets = np.array(FITTED_ON).reshape(3, 3)
    for small, middle, every in sets:
        assert small < middle < every
    assert sets[0, 0] != sets[1, 0]
    whole = [p.score.mean_pearson for p in points if p.n_people == 30]
    assert np.ptp(whole) < 1e-12
    curve = [
        np.mean([p.score.mean_pearson for p in points if p.n_people == n]) for n in (8, 16, 30)
    ]
    assert curve == sorted(curve)


def test_a_head_of_ours_is_fitted_on_some_and_left_unfitted(data):
    x, y, groups, x_held, y_held, held = data
    head = make_head({"kind": "ridge"}, 0)
    points = learning_curve(head, *data, n_people=[10, 30], n_repeats=2, **DRAWS)
    assert not hasattr(head, "coef_")
    expected = make_head({"kind": "ridge"}, 0).fit(x, y, groups).predict(x_held)
    assert points[1].score.mean_pearson == pytest.approx(mean_pearson(y_held, expected))
    first = learning_curve(head, *data, n_people=[10, 30], n_repeats=1, **DRAWS)
    for one, again in zip(first, points[:2], strict=True):
        assert one.score.mean_pearson == again.score.mean_pearson
        assert np.array_equal(one.score.resampled, again.score.resampled)
    same = bootstrap_scores(y_held, expected, held, **DRAWS)
    assert points[1].score.resampled == pytest.approx(same)


def test_people_without_labels_do_not_count(data):
    x, y, groups, x_held, y_held, held = data
    y[groups < "p10"] = np.nan
    y[-1] = np.nan
    given = (x, y, groups, x_held, y_held, held)
    (point,) = learning_curve(LeastSquares(), *given, n_people=[20], n_repeats=1, **DRAWS)
    assert point.n_rows == 79
    with pytest.raises(DataError, match=r"n_people holds \[21\]; expected numbers from 1 to 20"):
        learning_curve(LeastSquares(), *given, n_people=[20, 21], n_repeats=1, **DRAWS)
