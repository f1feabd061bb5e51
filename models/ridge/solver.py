"""Penalised systems of equations: solved for many penalties and right sides at once.

A ridge regression solves ``(A + penalty I) x = b``, where A is a Gram matrix. The systems of all
penalties differ by a multiple of the identity only, so the method of conjugate gradients finds all
of them with the products that the smallest penalty takes (Jegerlehner, hep-lat/9612014). Every
solution is then checked in its own equation; what misses the tolerance, and every small system, is
solved by a Cholesky decomposition instead.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from models.arrays import DataError

Matrix = NDArray[np.floating[Any]]
Floats64 = NDArray[np.float64]

SMALL = 400
"""Up to this size one decomposition per penalty is quicker than conjugate gradients."""
MOST_STEPS = 300
"""Of conjugate gradients; beyond, a decomposition costs less."""


class MixedMatrix:
    """Symmetric matrices that are made of a few, each scaled from both sides.

    Mixture m is the sum over i of ``D A D``, with A = `matrices[i]` and D = diag(`factors[i][m]`).

    Parameters
    ----------
    matrices : sequence of array [size, size]
        Symmetric, positive semidefinite, of one type.
    factors : sequence of array [n_mixtures, size or 1]
        One for each matrix. Without them, the one matrix stands for itself.
    """

    def __init__(self, matrices: Sequence[Matrix], factors: Sequence[Matrix] | None = None) -> None:
        ones = np.ones((1, 1), matrices[0].dtype)
        self.matrices = tuple(matrices)
        self.factors = tuple(factor.astype(ones.dtype) for factor in factors or [ones])
        self.size, self.dtype = len(matrices[0]), matrices[0].dtype

    def times(self, columns: Matrix, mixture_of_column: NDArray[np.intp]) -> Matrix:
        """Multiply columns [size, n_columns], each by its mixture [n_columns]."""
        total = np.zeros_like(columns)
        for matrix, factors in zip(self.matrices, self.factors, strict=True):
            factor = factors[mixture_of_column].T
            total += factor * (matrix @ (factor * columns))
        return total

    def dense(self, mixture: int) -> Floats64:
        """Return one of the matrices in float64 [size, size]."""
        pairs = [(m, f[mixture]) for m, f in zip(self.matrices, self.factors, strict=True)]
        terms = [factor[:, None].astype(np.float64) * matrix * factor for matrix, factor in pairs]
        return np.asarray(sum(terms[1:], terms[0]))

    def traces(self) -> Floats64:
        """Return the sum of the diagonal of each mixture [n_mixtures]."""
        traces: list[Floats64] = [
            (np.square(factor, dtype=np.float64) * np.diagonal(matrix)).sum(axis=1)
            for matrix, factor in zip(self.matrices, self.factors, strict=True)
        ]
        return np.asarray(np.sum(traces, axis=0))


def solve_penalised(
    matrix: MixedMatrix,
    mixture_of_column: NDArray[np.intp],
    right: Matrix,
    penalties: Floats64,
    tolerance: float,
) -> Matrix:
    """Solve ``(A + penalty I) x = b`` for every column b and each of its penalties.

    Parameters
    ----------
    matrix : MixedMatrix
        Holds the A of every column.
    mixture_of_column : array of int [n_columns]
        Which of the mixtures that is.
    right : array [size, n_columns]
        The columns b.
    penalties : array [n_penalties, n_columns]
        Positive; ascending in every column.
    tolerance : float
        Largest norm of ``b - (A + penalty I) x`` of a solution by conjugate gradients, relative to
        that of b. A solution by decomposition is right to rounding.

    Returns
    -------
    array [n_penalties, size, n_columns]
        Of the type of `matrix`.

    Raises
    ------
    DataError
        When a penalty is lost in the rounding of a matrix that has no inverse without it.
    """
    right = right.astype(matrix.dtype, copy=False)
    if matrix.size <= SMALL:
        solutions = np.empty((len(penalties), *right.shape), matrix.dtype)
        missed = np.ones(penalties.shape, np.bool_)
    else:
        solutions = _conjugate_gradients(
            matrix, mixture_of_column, right, penalties, tolerance / 2, MOST_STEPS
        )
        missed = ~(_residuals(matrix, mixture_of_column, right, penalties, solutions) <= tolerance)
    for mixture in np.unique(mixture_of_column[missed.any(axis=0)]):
        own = missed & (mixture_of_column == mixture)
        dense = matrix.dense(int(mixture))
        for penalty in np.unique(penalties[own]):
            numbers, columns = np.nonzero(own & (penalties == penalty))
            used, place = np.unique(columns, return_inverse=True)
            solved = _decompose_and_solve(dense, float(penalty), right[:, used])
            solutions[numbers, :, columns] = solved[:, place].T
    return solutions


def _conjugate_gradients(
    matrix: MixedMatrix,
    mixture_of_column: NDArray[np.intp],
    right: Matrix,
    penalties: Floats64,
    tolerance: float,
    most_steps: int,
) -> Matrix:
    """Solve as `solve_penalised`, without a check; stops when all seem solved.

    The gradients of a larger penalty are those of the smallest one, times a number (`scale`) that
    follows by recursion and gets ever smaller.
    """
    smallest, beyond = penalties[0], penalties - penalties[0]
    residual = right.copy()
    norms = _dots(residual, residual)
    goal = tolerance**2 * norms
    solutions = np.zeros((len(penalties), *right.shape), right.dtype)
    directions = np.repeat(right[None], len(penalties), axis=0)
    scale, scale_before = np.ones_like(penalties), np.ones_like(penalties)
    step_before, turn = np.ones_like(norms), np.zeros_like(norms)
    n = len(penalties)
    """Penalties that are not solved yet; the largest are solved first."""
    for _ in range(most_steps):
        image = matrix.times(directions[0], mixture_of_column)
        image += smallest.astype(image.dtype) * directions[0]
        runs = norms > goal
        step = np.where(runs, _ratio(norms, _dots(directions[0], image)), 0)
        below = step * turn * (scale_before - scale) + scale_before * step_before * (
            1 + beyond[:n] * step
        )
        scale_next = np.where(runs, _ratio(scale * scale_before * step_before, below), scale)
        steps = step * _ratio(scale_next, scale)
        solutions[:n] += steps[:, None].astype(right.dtype) * directions[:n]
        residual -= step.astype(right.dtype) * image
        norms_next = _dots(residual, residual)
        turn = np.where(runs, _ratio(norms_next, norms), 0)
        turns = turn * _ratio(scale_next * steps, scale * step)
        directions[:n] *= turns[:, None].astype(right.dtype)
        directions[:n] += scale_next[:, None].astype(right.dtype) * residual
        norms, step_before = norms_next, step
        while n and (np.square(scale_next[n - 1]) * norms <= goal).all():
            n -= 1
        scale_before, scale = scale[:n], scale_next[:n]
        if n == 0:
            break
    return solutions


def _residuals(
    matrix: MixedMatrix,
    mixture_of_column: NDArray[np.intp],
    right: Matrix,
    penalties: Floats64,
    solutions: Matrix,
) -> Floats64:
    """Norms of what is left of the equations [n_penalties, n_columns], relative to right sides."""
    found = np.empty(penalties.shape)
    norms = np.sqrt(_dots(right, right))
    for number, (solution, penalty) in enumerate(zip(solutions, penalties, strict=True)):
        left = right - matrix.times(solution, mixture_of_column)
        left -= penalty.astype(left.dtype) * solution
        found[number] = _ratio(np.sqrt(_dots(left, left)), norms)
    return found


def _decompose_and_solve(matrix: Floats64, penalty: float, right: Matrix) -> Floats64:
    shifted = matrix.copy()
    shifted[np.diag_indices(len(matrix))] += penalty
    try:
        factor = scipy.linalg.cho_factor(shifted, overwrite_a=True, check_finite=False)
    except scipy.linalg.LinAlgError as error:
        raise DataError(
            f"a ridge penalty of {penalty:.3g} is lost in the rounding of a matrix with the trace "
            f"{np.trace(matrix):.3g}; give larger `alphas`."
        ) from error
    solved: Floats64 = scipy.linalg.cho_solve(factor, right, check_finite=False)
    return solved


def _dots(first: Matrix, second: Matrix) -> Floats64:
    """Scalar products of columns [n_columns]."""
    products: Floats64 = np.einsum("ij,ij->j", first, second, dtype=np.float64)
    return products


def _ratio(above: Floats64, below: Floats64) -> Floats64:
    """Divide; 0 where the divisor is 0."""
    above, below = np.broadcast_arrays(above, below)
    return np.divide(above, below, out=np.zeros_like(above), where=below != 0)
