from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.arrays import DataError
from models.ridge import solver
from models.ridge.solver import solve_penalised

EXTENDED = {"deadline": None, "max_examples": 60}


def gram(size, rank, seed):
    """A Gram matrix whose spectrum falls by a power, with mean eigenvalue 1."""
    x = np.random.default_rng(seed).normal(size=(rank, size)) * np.arange(1, size + 1) ** -0.5
    matrix = x.T @ x
    return matrix * size / np.trace(matrix)


def plain(matrix, right, penalties):
    own = [
        np.linalg.solve(matrix + p * np.eye(len(matrix)), b)
        for p, b in zip(penalties, right.T, strict=True)
    ]
    return np.stack(own, axis=1)


@pytest.mark.parametrize("small", [0, 400], ids=["space", "decomposed"])
@settings(**EXTENDED)
@given(
    size=st.integers(1, 40),
    rank=st.integers(1, 60),
    n_columns=st.integers(1, 60),
    lowest=st.sampled_from([1e-6, 1e-3, 0.1, 10.0]),
    seed=st.integers(0, 9),
)
def test_every_solution_is_that_of_its_own_equation(small, size, rank, n_columns, lowest, seed):
    matrix, rng = gram(size, rank, seed), np.random.default_rng(seed)
    right = matrix @ rng.normal(size=(size, n_columns))
    right[:, ::5] = right[:, :1]
    right[:, 3::7] = 0
    penalties = lowest * np.array([[1.0], [30.0], [1e4]]) * rng.uniform(1, 2, (1, n_columns))
    with mock.patch.object(solver, "SMALL", small):
        found = solve_penalised(matrix, right, penalties, 1e-8)
    for solution, penalty in zip(found, penalties, strict=True):
        left = right - matrix @ solution - penalty * solution
        norms = np.linalg.norm(right, axis=0)
        assert (np.linalg.norm(left, axis=0) <= 1e-8 * norms).all()
        expected = plain(matrix, right, penalty)
        tolerance = 1e-8 * norms.max() / lowest + 1e-8
        np.testing.assert_allclose(solution, expected, atol=tolerance)


@pytest.mark.parametrize("wrong", ["few directions", "nan"])
def test_what_a_small_space_misses_is_decomposed(wrong, monkeypatch):
    size = solver.SMALL + 10
    matrix, right = gram(size, 600, 0), np.random.default_rng(0).normal(size=(size, 3))
    penalties = np.repeat([[1e-3], [1e3]], 3, axis=1)
    if wrong == "few directions":
        monkeypatch.setattr(solver, "LARGEST_SHARE", 0.02)
    else:
        nothing = np.full((2, size, 3), np.nan), np.full((2, 3), np.nan)
        monkeypatch.setattr(solver, "_best_in_space", lambda *_: nothing)
    found = solve_penalised(matrix, right, penalties, 1e-6)
    for solution, penalty in zip(found, penalties, strict=True):
        np.testing.assert_allclose(solution, plain(matrix, right, penalty), atol=1e-4)


def test_a_penalty_that_rounding_swallows_is_refused():
    x = np.random.default_rng(0).normal(size=(3, 30))
    right = np.ones((30, 1))
    with pytest.raises(DataError, match="lost in the rounding"):
        solve_penalised(x.T @ x, right, np.full((1, 1), 1e-30), 1e-9)


def test_float32_meets_its_tolerance_too():
    matrix = gram(600, 900, 0).astype(np.float32)
    right = np.random.default_rng(1).normal(size=(600, 9)).astype(np.float32)
    penalties = np.repeat([[1e-3], [1.0], [1e3]], 9, axis=1)
    found = solve_penalised(matrix, right, penalties, 1e-5)
    assert found.dtype == np.float32
    for solution, penalty in zip(found, penalties[:, 0], strict=True):
        left = right - matrix.astype(np.float64) @ solution - penalty * solution
        assert (np.linalg.norm(left, axis=0) <= 2e-5 * np.linalg.norm(right, axis=0)).all()
