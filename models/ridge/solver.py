"""Penalised systems of equations: solved for many penalties and right sides at once.

A ridge regression solves ``(A + penalty I) x = b``, where A is a Gram matrix. The systems of all
penalties differ by a multiple of the identity only, so one small space of directions, grown from
the right sides by products with A (a block Krylov space), holds good solutions of all of them
(Golub and Van Loan, Matrix Computations, 10.3; O'Leary, 1980). Every solution is checked in its own
equation; what misses the tolerance, and every small system, is solved by a Cholesky decomposition.
"""

from itertools import count

import numpy as np
import scipy.linalg

from models.arrays import DataError, Floats, Floats64

SMALL = 400
"""Up to this size one decomposition per penalty is quicker than a space of directions."""
LARGEST_SHARE = 0.3
"""Directions, as a share of the size, beyond which a decomposition costs less."""
FIRST_CHECK = 8
"""Steps before solutions are looked at for the first time."""


def solve_penalised(matrix: Floats, right: Floats, penalties: Floats64, tolerance: float) -> Floats:
    """Solve ``(A + penalty I) x = b`` for every column b and each of its penalties.

    Parameters
    ----------
    matrix : array [size, size]
        A: symmetric, positive semidefinite.
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
    if len(matrix) > SMALL:
        solutions, residuals = _solve_in_a_space(matrix, right, penalties, tolerance)
        missed = ~(residuals <= tolerance)
    else:
        solutions = np.empty((len(penalties), *right.shape), matrix.dtype)
        missed = np.ones(penalties.shape, np.bool_)
    for penalty in np.unique(penalties[missed]):
        numbers, columns = np.nonzero(missed & (penalties == penalty))
        used, place = np.unique(columns, return_inverse=True)
        solved = _decompose_and_solve(matrix, float(penalty), right[:, used])
        solutions[numbers, :, columns] = solved[:, place].T
    return solutions


def _solve_in_a_space(
    matrix: Floats, right: Floats, penalties: Floats64, tolerance: float
) -> tuple[Floats, Floats64]:
    """Solve as well as a small space of directions allows.

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
        image = matrix @ block
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


def _decompose_and_solve(matrix: Floats, penalty: float, right: Floats) -> Floats64:
    # Each time anew, or two would outgrow the view; in LAPACK's order, or it makes a copy.
    penalised = matrix.astype(np.float64, order="F")
    penalised[np.diag_indices(len(matrix))] += penalty
    try:
        factor = scipy.linalg.cho_factor(penalised, overwrite_a=True, check_finite=False)
    except scipy.linalg.LinAlgError as error:
        raise DataError(
            f"a ridge penalty of {penalty:.3g} is lost in the rounding of a matrix with the trace "
            f"{np.trace(matrix):.3g}; give larger `alphas`."
        ) from error
    solved: Floats64 = scipy.linalg.cho_solve(factor, right, check_finite=False)
    return solved
