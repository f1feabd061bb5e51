import numpy as np
import pytest
from sklearn.linear_model import Ridge

from models.heads.ridge_solver import RidgeProblem

ALPHAS = np.array([1e-3, 0.1, 1.0, 100.0])


@pytest.fixture(params=[(30, 9), (12, 40), (15, 15)], ids=str)
def table(request):
    rng = np.random.default_rng(0)
    n_rows, n_columns = request.param
    x = rng.normal(2, 1, size=(n_rows, n_columns)).astype(np.float32)
    return x, rng.normal(1, 1, size=(n_rows, 4)), np.arange(n_rows) % 3 == 1


def test_both_sides_agree(table):
    x, y, held = table
    primal, dual = RidgeProblem(x, y, "primal"), RidgeProblem(x, y, "dual")
    for ours, theirs in zip(primal.solve(ALPHAS), dual.solve(ALPHAS), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-8)
    np.testing.assert_allclose(
        primal.squared_errors(held, ALPHAS), dual.squared_errors(held, ALPHAS), rtol=1e-7
    )


@pytest.mark.parametrize("side", ["primal", "dual"])
def test_held_errors_equal_plain_fits(table, side):
    x, y, held = table
    train = x[~held].astype(np.float64)
    unit = np.square(train - train.mean(axis=0)).sum() / min(train.shape)
    expected = [
        np.square(y[held] - Ridge(alpha * unit).fit(train, y[~held]).predict(x[held])).sum(axis=0)
        for alpha in ALPHAS
    ]
    errors = RidgeProblem(x, y, side).squared_errors(held, ALPHAS)
    np.testing.assert_allclose(errors, expected, rtol=1e-6)


def test_the_smaller_side_is_taken():
    y = np.zeros((10, 1))
    assert RidgeProblem(np.zeros((10, 20)), y).side == "dual"
    assert RidgeProblem(np.zeros((10, 5)), y).side == "primal"
