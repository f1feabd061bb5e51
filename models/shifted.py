"""Symmetric systems with many shifts: (A + s I) x = b for all shifts s and right sides b at once.

A ridge regression with eleven penalties and seven targets is 77 systems that differ in nothing but
a multiple of the identity. All of them share one Krylov space, so one block Lanczos run, with the
right sides as its first block, solves them all; each step is one product of A with a thin block
(Golub and Van Loan, Matrix Computations, 10.3; O'Leary, 1980). Small systems are decomposed.
"""

from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

Array = Any
"""A matrix of NumPy, or of torch on a GPU."""
Matrix = NDArray[np.float64]

SMALL = 400
"""Up to this size a decomposition is quicker than a Krylov space."""
CHECK_EVERY = 6
"""Steps between two looks at the residuals."""
MOST_PASSES = 3
"""One pass makes a block orthogonal to rounding; random directions take one or two more."""


def solve_shifted(
    matrix: Array,
    right: Array,
    shifts: Matrix,
    tolerance: float,
    scale: Array | None = None,
) -> Array:
    """Solve (D A D + s I) x = D b for every shift s and every column b, D being diagonal.

    Parameters
    ----------
    matrix : array [size, size]
        A, symmetric and positive semidefinite.
    right : array [size, n_right]
    shifts : array [n_shifts]
        Positive.
    tolerance : float
        Largest residual of any solution, relative to its right side. Small systems are solved to
        rounding.
    scale : array [size], optional
        The diagonal of D; 1 where left out.

    Returns
    -------
    array [n_shifts, size, n_right]
        Of the type of `matrix`.
    """
    xp = array_namespace(matrix)
    if scale is not None:
        right = scale[:, None] * right
    if matrix.shape[0] <= SMALL:
        if scale is not None:
            matrix = scale[:, None] * matrix * scale
        values, vectors = xp.linalg.eigh(matrix)
        return _at_shifts(xp, values, vectors, xp.matmul(vectors.T, right), shifts)
    space = _krylov_space(xp, matrix, right, shifts, tolerance, scale)
    values, vectors = np.linalg.eigh(space.projected)
    inner = _at_shifts(np, values, vectors, vectors.T @ space.right, shifts)
    inner = xp.asarray(inner, dtype=matrix.dtype, device=matrix.device)
    return xp.matmul(space.basis, inner)


class _Space(NamedTuple):
    """Orthonormal basis [size, m], A in it [m, m] and the right sides in it [m, n_right]."""

    basis: Array
    projected: Matrix
    right: Matrix


def _krylov_space(
    xp: Any, matrix: Array, right: Array, shifts: Matrix, tolerance: float, scale: Array | None
) -> _Space:
    """Grow the space block by block until all shifted systems are solved in it."""
    size, width = right.shape
    block, first = xp.linalg.qr(right)
    basis = block
    projected, start = np.zeros((0, 0)), _numbers(first)
    norms = np.maximum(np.linalg.norm(start, axis=0), np.finfo(np.float64).tiny)
    for step in range(1, size // width + 1):
        image = xp.matmul(matrix, block if scale is None else scale[:, None] * block)
        if scale is not None:
            image = scale[:, None] * image
        along = xp.matmul(basis.T, image)
        rest, beyond = _orthonormal(xp, image - xp.matmul(basis, along), basis)
        projected = _bordered(projected, _numbers(along))
        inner_right = np.vstack([start, np.zeros((len(projected) - width, width))])
        last = step == size // width
        overlap = _numbers(beyond)
        # Without overlap nothing is left outside the space.
        if last or step % CHECK_EVERY == 0 or not overlap.any():
            residual = _residuals(projected, inner_right, overlap, shifts)
            if last or (residual <= tolerance * norms).all():
                break
        basis = xp.concat([basis, rest], axis=1)
        block = rest
    return _Space(basis, projected, inner_right)


def _orthonormal(xp: Any, block: Array, basis: Array) -> tuple[Array, Array]:
    """Orthonormal columns Q, orthogonal to the basis, and R with block = Q R.

    Where columns of the block depend on each other, QR makes directions up. They have no part in
    the block, but may lie in the basis: the second pass loses them, and random ones follow.
    """
    q, r = xp.linalg.qr(block)
    for _ in range(MOST_PASSES):
        q, again = xp.linalg.qr(q - xp.matmul(basis, xp.matmul(basis.T, q)))
        r = xp.matmul(again, r)
        lost = abs(xp.linalg.diagonal(again)) < 0.5
        if not lost.any():
            break
        random = np.random.default_rng(0).normal(size=tuple(q.shape))
        q = xp.where(lost, xp.asarray(random, dtype=q.dtype, device=q.device), q)
        r = xp.where(lost[:, None], 0.0, r)
    return q, r


def _bordered(projected: Matrix, along: Matrix) -> Matrix:
    """Add the last block's column of the projected matrix, and its row by symmetry."""
    size, width = along.shape
    grown = np.zeros((size, size))
    grown[: size - width, : size - width] = projected
    grown[:, size - width :] = along
    grown[size - width :, :] = along.T
    corner = grown[size - width :, size - width :]
    grown[size - width :, size - width :] = (corner + corner.T) / 2
    return grown


def _residuals(projected: Matrix, right: Matrix, beyond: Matrix, shifts: Matrix) -> Matrix:
    """Norms of the residuals [n_shifts, n_right]: only the last block reaches beyond the space."""
    values, vectors = np.linalg.eigh(projected)
    inner = _at_shifts(np, values, vectors, vectors.T @ right, shifts)
    norms: Matrix = np.linalg.norm(beyond @ inner[:, -right.shape[1] :, :], axis=1)
    return norms


def _at_shifts(xp: Any, values: Array, vectors: Array, rotated: Array, shifts: Matrix) -> Array:
    # Rounding makes small eigenvalues negative.
    values = values * (values > 0)
    parts = [xp.matmul(vectors, rotated / (values[:, None] + float(shift))) for shift in shifts]
    return xp.stack(parts)


def _numbers(array: Array) -> Matrix:
    if isinstance(array, np.ndarray):
        return array.astype(np.float64)
    moved: Matrix = array.cpu().numpy().astype(np.float64)
    return moved
