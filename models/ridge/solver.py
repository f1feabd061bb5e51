"""Penalised systems of equations: solved for many penalties and right sides at once.

A ridge regression solves ``(A + penalty I) x = b``, where A is a Gram matrix. The systems of all
penalties differ by a multiple of the identity only, so one small space of directions, grown from
the right sides by products with A (a block Krylov space), holds good solutions of all of them
(Golub and Van Loan, Floats Computations, 10.3; O'Leary, 1980). Every solution is checked in its own
equation; what misses the tolerance, and every small system, is solved by a Cholesky decomposition.
"""

from collections.abc import Sequence
from itertools import count

import numpy as np
import scipy.linalg

from models.arrays import DataError, Floats, Floats64, Numbers

SMALL = 400
"""Up to this size one decomposition per penalty is quicker than a space of directions."""
LARGEST_SHARE = 0.3
"""Directions, as a share of the size, beyond which a decomposition costs less."""
FIRST_CHECK = 8
"""Steps before solutions are looked at for the first time."""


class MixedMatrix:
    """Symmetric matrices that are made of a few, each scaled from both sides.

    Mixture m is the sum over i of ``D A D``, with A = `matrices[i]` and D = diag(`factors[i][m]`).

    Parameters
    ----------
    matrices : sequence of array [size, size]
        Symmetric, positive semidefinite, of one type.
    factors : sequence of array [n_mixtures, size or 1]
        One for each matrix.
    """

    def __init__(self, matrices: Sequence[Floats], factors: Sequence[Floats]) -> None:
        self.matrices = tuple(matrices)
        self.size, self.dtype = len(matrices[0]), matrices[0].dtype
        self.factors = tuple(factor.astype(self.dtype) for factor in factors)

    def times(self, columns: Floats, mixture_of_column: Numbers) -> Floats:
        """Multiply columns [size, n_columns], each by its mixture [n_columns]."""
        total = np.zeros_like(columns)
        for matrix, factors in zip(self.matrices, self.factors, strict=True):
            factor = factors[mixture_of_column].T
            total += factor * (matrix @ (factor * columns))
        return total

    def dense(self, mixture: int) -> Floats64:
        """Return one of the mixtures in float64 [size, size]."""
        total = np.zeros((self.size, self.size))
        for matrix, factors in zip(self.matrices, self.factors, strict=True):
            factor = factors[mixture].astype(np.float64)
            total += factor[:, None] * matrix * factor
        return total

    def traces(self) -> Floats64:
        """Return the sum of the diagonal of each mixture [n_mixtures]."""
        terms = [
            (np.square(factor, dtype=np.float64) * np.diagonal(matrix)).sum(axis=1)
            for matrix, factor in zip(self.matrices, self.factors, strict=True)
        ]
        return np.asarray(np.sum(terms, axis=0))


def solve_penalised(
    matrix: MixedMatrix,
    mixture_of_column: Numbers,
    right: Floats,
    penalties: Floats64,
    tolerance: float,
) -> Floats:
    """Solve ``(A + penalty I) x = b`` for every column b and each of its penalties.

    Parameters
    ----------
    matrix : MixedMatrix
        Holds the A of every column: the mixture `mixture_of_column` [n_columns].
    right : array [size, n_columns]
        The columns b.
    penalties : array [n_penalties, n_columns]
        Positive.
    tolerance : float
        Largest norm of ``b - (A + penalty I) x``, relative to that of b. A solution by
        decomposition is right to rounding.

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
    solutions = np.empty((len(penalties), *right.shape), matrix.dtype)
    for mixture in np.unique(mixture_of_column):
        own = np.flatnonzero(mixture_of_column == mixture)
        missed = np.ones((len(penalties), len(own)), np.bool_)
        if matrix.size > SMALL:
            solutions[:, :, own], residuals = _solve_in_a_space(
                matrix, mixture_of_column[own], right[:, own], penalties[:, own], tolerance
            )
            missed = ~(residuals <= tolerance)
        for penalty in np.unique(penalties[:, own][missed]):
            numbers, places = np.nonzero(missed & (penalties[:, own] == penalty))
            used, place = np.unique(own[places], return_inverse=True)
            solved = _decompose_and_solve(matrix, int(mixture), float(penalty), right[:, used])
            solutions[numbers, :, own[places]] = solved[:, place].T
    return solutions


def _solve_in_a_space(
    matrix: MixedMatrix,
    mixture_of_column: Numbers,
    right: Floats,
    penalties: Floats64,
    tolerance: float,
) -> tuple[Floats, Floats64]:
    """Solve regressions of one mixture as well as a small space of directions allows.

    Returns solutions [n_penalties, size, n_columns], and how far each is from solving its equation,
    relative to its right side [n_penalties, n_columns].
    """
    basis = images = right[:, :0]  # orthonormal directions, and their products with the matrix
    block = _new_directions(right, basis)  # comes next
    smallest = penalties.min(axis=0, keepdims=True)  # the last to be solved
    next_check = FIRST_CHECK
    for step in count(1):
        n_next = block.shape[1]
        # Nothing to add, or a decomposition would cost less.
        is_full = n_next == 0 or basis.shape[1] + n_next > LARGEST_SHARE * len(basis)
        if is_full or step > next_check:
            next_check = max(step + 2, int(1.25 * step))
            _, missing = _best_in_space(basis, images, right, smallest)
            if is_full or (missing <= tolerance).all():
                best = _best_in_space(basis, images, right, penalties)
                if is_full or (best[1] <= tolerance).all():
                    return best
        image = matrix.times(block, mixture_of_column[:1].repeat(n_next))
        basis, images = np.hstack([basis, block]), np.hstack([images, image])
        block = _new_directions(image, basis)
    raise AssertionError  # a space that cannot grow is full


def _new_directions(columns: Floats, basis: Floats) -> Floats:
    """Orthonormal directions [size, n] of columns that a basis [size, n_basis] does not hold yet.

    Fewer than columns, where these depend on each other or on the basis.
    """
    least = float(np.finfo(columns.dtype).eps * 10 * np.linalg.norm(columns))
    for _ in range(2):  # the first pass may leave rounding of what it takes away; it loses itself
        rest = columns - basis @ (basis.T @ columns)
        columns, sizes, _ = np.linalg.svd(rest, full_matrices=False)
        columns, least = columns[:, sizes > least], 0.5
        if columns.shape[1] == 0:
            break
    return columns


def _best_in_space(
    basis: Floats, images: Floats, right: Floats, penalties: Floats64
) -> tuple[Floats, Floats64]:
    """Solve within a space, and say how well, as `_solve_in_a_space` does."""
    projected = (basis.T @ images).astype(np.float64)
    values, vectors = np.linalg.eigh((projected + projected.T) / 2)
    values = np.maximum(values, 0)  # rounding makes small ones negative
    rotated = vectors.T @ (basis.T @ right)
    weights = vectors @ (rotated / (values[:, None] + penalties[:, None, :]))
    weights = weights.astype(basis.dtype)
    solutions = np.matmul(basis, weights)
    left = right - np.matmul(images, weights)
    left -= penalties[:, None, :].astype(basis.dtype) * solutions
    norms = np.linalg.norm(right, axis=0).astype(np.float64)
    residuals = np.linalg.norm(left, axis=1).astype(np.float64)
    return solutions, np.divide(residuals, norms, out=np.zeros_like(residuals), where=norms > 0)


def _decompose_and_solve(
    matrix: MixedMatrix, mixture: int, penalty: float, right: Floats
) -> Floats64:
    penalised = matrix.dense(mixture)  # each time anew: a second one would be larger than a view
    penalised[np.diag_indices(matrix.size)] += penalty
    try:
        factor = scipy.linalg.cho_factor(penalised, overwrite_a=True, check_finite=False)
    except scipy.linalg.LinAlgError as error:
        raise DataError(
            f"a ridge penalty of {penalty:.3g} is lost in the rounding of a matrix with the trace "
            f"{matrix.traces()[mixture]:.3g}; give larger `alphas`."
        ) from error
    solved: Floats64 = scipy.linalg.cho_solve(factor, right, check_finite=False)
    return solved
