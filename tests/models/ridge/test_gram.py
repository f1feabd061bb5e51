import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import models.ridge.gram
from models.ridge.gram import DualGram, KernelGram, Mixtures, PrimalGram, make_gram

SIDES = {"primal": PrimalGram, "dual": DualGram}


def table(n_rows=30, n_columns=9, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(2, 1, size=(n_rows, n_columns)).astype(np.float32)
    return x, np.arange(n_rows) % 4


def centred(x):
    return x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)


@pytest.mark.parametrize("excluded", [(), (1,), (0, 3)])
def test_systems_are_the_gram_matrices_of_the_other_folds(excluded):
    x, folds = table()
    part = centred(x[~np.isin(folds, excluded)])
    primal = PrimalGram(x, folds).system(excluded)
    dual = DualGram(x, folds).system(excluded)
    np.testing.assert_allclose(primal.forms.dense(0), part.T @ part, atol=1e-9)
    np.testing.assert_allclose(dual.forms.dense(0), part @ part.T, atol=1e-9)
    assert primal.units == pytest.approx(dual.units)
    assert primal.units == pytest.approx(np.square(part).sum() / min(part.shape))


def test_rows_outside_all_folds_take_no_part():
    x, folds = table()
    folds[5:9] = -1
    x[5:9] = 1e6
    part = centred(x[folds >= 0])
    for side in SIDES.values():
        gram = side(x, folds)
        assert gram.folds == [0, 1, 2, 3]
        system = gram.system(())
        assert float(system.forms.traces()[0]) == pytest.approx(np.square(part).sum())
        assert not system.rows[5:9].any()


def test_large_sizes_are_summed_in_float32(monkeypatch):
    x, folds = table()
    exact = PrimalGram(x, folds).system((2,)).forms.dense(0)
    monkeypatch.setattr(models.ridge.gram, "EXACT_SIZE", 5)
    rough = PrimalGram(x, folds).system((2,)).forms.dense(0)
    assert (exact.dtype, rough.dtype) == (np.float64, np.float32)
    np.testing.assert_allclose(rough, exact, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("side", SIDES)
def test_mixtures_are_the_systems_of_scaled_columns(side):
    x, folds = table()
    shares = np.array([[1.0, 1.0], [2.0, 0.0], [0.5, 3.0]])
    y = np.random.default_rng(1).normal(size=(30, 3))
    alphas = np.array([0.1, 10.0])
    system = SIDES[side](x, folds).system((1,), Mixtures((4, 5), shares))
    solutions = system.solve(y, alphas, 1e-9)
    found, units = system.coefficients(solutions), system.units
    errors = system.squared_errors(solutions, y, folds == 1)
    for share, coef, unit, error in zip(shares, found, units, errors, strict=True):
        scale = np.repeat(np.sqrt(share), (4, 5)).astype(np.float32)
        plain = SIDES[side](x * scale, folds).system((1,))
        plain_unit = plain.units * min(23, 9) / min(23, np.count_nonzero(scale))
        assert plain_unit == pytest.approx(unit, rel=1e-5)
        expected = plain.solve(y, alphas * plain_unit / plain.units, 1e-9)
        np.testing.assert_allclose(
            error, plain.squared_errors(expected, y, folds == 1)[0], rtol=1e-4
        )
        expected = plain.coefficients(expected)[0] * scale[:, None]
        np.testing.assert_allclose(coef, expected, atol=1e-5)


def test_the_smaller_side_is_taken():
    x, folds = table(10, 20)
    assert isinstance(make_gram(x, folds), DualGram)
    x, folds = table(10, 5)
    assert isinstance(make_gram(x, folds), PrimalGram)


@settings(max_examples=30, deadline=None)
@given(st.integers(8, 40), st.integers(1, 30), st.integers(0, 100))
def test_torch_and_numpy_agree_on_both_sides(n_rows, n_columns, seed):
    x, folds = table(n_rows, n_columns, seed)
    y = np.random.default_rng(seed).normal(size=(n_rows, 2))
    alphas = np.array([0.03, 1.0])
    found = []
    for side in SIDES.values():
        for device in (None, "cpu"):
            system = side(x, folds, device).system((2,))
            solutions = system.solve(y, alphas, 1e-9)
            errors = system.squared_errors(solutions, y, folds == 2)
            found.append((np.asarray(system.coefficients(solutions)), errors))
    for coef, errors in found[1:]:
        np.testing.assert_allclose(coef, found[0][0], atol=1e-4)
        np.testing.assert_allclose(errors, found[0][1], rtol=1e-4)


def test_a_kernel_stands_for_inputs_that_nobody_knows():
    x, folds = table(20, 30)
    y = np.random.default_rng(1).normal(size=(20, 2))
    alphas = np.array([0.03, 1.0])
    kernel = (x @ x.T).astype(np.float64)
    known, unknown = DualGram(x, folds).system((2,)), KernelGram(kernel, folds).system((2,))
    first, second = known.solve(y, alphas, 1e-9), unknown.solve(y, alphas, 1e-9)
    out = folds == 2
    np.testing.assert_allclose(
        unknown.squared_errors(second, y, out), known.squared_errors(first, y, out), rtol=1e-4
    )
    coef, weights = known.coefficients(first)[0, 0], unknown.coefficients(second)[0, 0]
    assert not weights[out].any()
    np.testing.assert_allclose(
        kernel @ weights + unknown.intercept(weights, y),
        x @ coef + known.intercept(coef, y),
        atol=1e-3,
    )
