"""The equations of training sets, with either kind of unknowns."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from models.ridge.equations import FoldGram

ALPHAS = np.array([1e-3, 0.1, 1.0, 100.0])


def table(n_rows=30, n_columns=9, n_targets=4, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(2, 1, size=(n_rows, n_columns)).astype(np.float32)
    return x, rng.normal(1, 1, size=(n_rows, n_targets)), np.arange(n_rows) % 4


def solve(gram, excluded, y):
    """Return equations and their solutions for all penalties."""
    repeated, equations = np.repeat(ALPHAS[:, None], y.shape[1], axis=1), gram.equations(excluded)
    products = gram.products(np.where(gram.fold_of_row[:, None] >= 0, y, 0))
    kept = sum(each for fold, each in products.items() if fold not in excluded)
    return equations, equations.solve(y, kept, repeated, 1e-9)


def centred(x):
    return x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)


@settings(deadline=None, max_examples=40)
@given(
    n_rows=st.integers(8, 40),
    n_columns=st.integers(1, 40),
    n_targets=st.integers(1, 60),
    n_excluded=st.integers(0, 2),
    repeats=st.booleans(),
    seed=st.integers(0, 99),
)
def test_solutions_and_errors_equal_plain_fits(
    n_rows, n_columns, n_targets, n_excluded, repeats, seed
):
    x, y, folds = table(n_rows, n_columns, n_targets, seed)
    if repeats:  # of less rank than rows and columns
        x[:, n_columns // 2 :], x[1::2] = x[:, :1], x[:1]
    excluded = tuple(range(n_excluded))
    train, held = ~np.isin(folds, excluded), folds == 0
    part = x[train].astype(np.float64)
    unit = np.square(centred(part)).sum() / min(part.shape) or 1.0
    equations, solutions = solve(FoldGram(x, folds), excluded, y)
    assert equations.unit == pytest.approx(unit, rel=1e-5)
    errors = equations.squared_errors(solutions, y, held)
    for solution, error, alpha in zip(solutions, errors, ALPHAS, strict=True):
        fit = Ridge(alpha * unit, solver="svd").fit(part, y[train])
        expected = fit.predict(x).reshape(y.shape)
        coef = equations.coefficients(solution)
        found = x @ coef + equations.intercepts(coef, y)
        np.testing.assert_allclose(found, expected, atol=1e-4)
        squares = np.square(y[held] - expected[held]).sum(axis=0)
        np.testing.assert_allclose(error, squares, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("n_columns", [9, 40])
@pytest.mark.parametrize("excluded", [(), (1,), (0, 3)])
def test_rows_outside_all_folds_or_in_excluded_ones_take_no_part(n_columns, excluded):
    x, y, folds = table(n_columns=n_columns)
    folds[5:9] = -1
    used = (folds >= 0) & ~np.isin(folds, excluded)
    wild = np.where(used[:, None], x, 1e6).astype(np.float32)
    gram = FoldGram(x, folds)
    part = centred(x[used])
    equations, solutions = solve(gram, excluded, y)
    expected = part.T @ part if n_columns < 30 else part @ part.T
    np.testing.assert_allclose(equations.matrix, expected, atol=1e-9)
    _, again = solve(FoldGram(wild, folds), excluded, np.where(used[:, None], y, np.nan))
    np.testing.assert_array_equal(again, solutions)
