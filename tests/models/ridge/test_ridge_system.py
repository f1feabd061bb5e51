import numpy as np
import pytest
from sklearn.linear_model import Ridge

from models.ridge.gram import DualGram, PrimalGram

ALPHAS = np.array([1e-3, 0.1, 1.0, 100.0])


@pytest.fixture(params=[(30, 9), (12, 40), (15, 15)], ids=str)
def table(request):
    rng = np.random.default_rng(0)
    n_rows, n_columns = request.param
    x = rng.normal(2, 1, size=(n_rows, n_columns)).astype(np.float32)
    return x, rng.normal(1, 1, size=(n_rows, 4)), np.arange(n_rows) % 3


@pytest.mark.parametrize("side", [PrimalGram, DualGram])
def test_solutions_and_errors_equal_plain_fits(table, side):
    x, y, folds = table
    held = folds == 1
    train = x[~held].astype(np.float64)
    unit = np.square(train - train.mean(axis=0)).sum() / min(train.shape)
    fits = [Ridge(alpha * unit).fit(train, y[~held]) for alpha in ALPHAS]
    system = side(x, folds).system((1,))
    solutions = system.solve(y, ALPHAS, 1e-9)
    coef = system.coefficients(solutions)
    np.testing.assert_allclose(coef[0], [fit.coef_.T for fit in fits], rtol=1e-3, atol=1e-4)
    intercepts = [system.intercept(each, y) for each in coef[0]]
    np.testing.assert_allclose(intercepts, [fit.intercept_ for fit in fits], rtol=1e-3, atol=1e-4)
    expected = [np.square(y[held] - fit.predict(x[held])).sum(axis=0) for fit in fits]
    np.testing.assert_allclose(system.squared_errors(solutions, y, held)[0], expected, rtol=1e-3)


@pytest.mark.parametrize("side", [PrimalGram, DualGram])
def test_constant_inputs_predict_the_mean(side):
    y = np.arange(8.0)[:, None]
    system = side(np.ones((8, 3), np.float32), np.arange(8) % 2).system((1,))
    coef = system.coefficients(system.solve(y, np.array([1.0]), 1e-9))
    np.testing.assert_array_equal(np.asarray(coef), 0)
    assert system.intercept(coef[0, 0], y) == pytest.approx(3.0)


def test_targets_outside_the_training_set_do_not_matter(table):
    x, y, folds = table
    for side in (PrimalGram, DualGram):
        system = side(x, folds).system((1,))
        before = system.solve(y, ALPHAS, 1e-9)
        changed = np.where((folds == 1)[:, None], 99.0, y)
        np.testing.assert_array_equal(system.solve(changed, ALPHAS, 1e-9), before)
