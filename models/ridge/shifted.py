"""Symmetric systems with many shifts: (A + s I) x = b for all shifts s and right sides b at once.

A ridge regression with eleven penalties and seven targets is 77 systems that differ in nothing but
a multiple of the identity. All of them share one Krylov space, so one block Lanczos run, with the
right sides as its first block, solves them all; each step is one product of A with a thin block
(Golub and Van Loan, Matrix Computations, 10.3; O'Leary, 1980). Several matrices made of the same
numbers have spaces of their own, which grow side by side (`models.ridge.forms`). Small systems are
eliminated one by one.
"""

import numpy as np
import scipy.linalg
from array_api_compat import array_namespace
from numpy.typing import NDArray

from models.device import like
from models.ridge.forms import Array, Forms, Matrix

SMALL = 400
"""Up to this size one elimination per shift is quicker than a Krylov space."""
CHECK_EVERY = 4
"""Steps between two looks at the residuals."""
FIRST_BLOCKS = 16
"""Room for so many blocks at first; doubled when it is filled."""
MOST_PASSES = 3
"""One pass makes a block orthogonal to rounding; random directions take one or two more."""


def solve_shifted(forms: Forms, right: Array, shifts: Matrix, tolerance: float) -> Array:
    """Solve (A + s I) x = b for every matrix A, each of its shifts s and of its columns b.

    Parameters
    ----------
    forms : Forms
        The matrices.
    right : array [n_forms, size, n_right]
    shifts : array [n_forms, n_shifts]
        Positive.
    tolerance : float
        Largest residual of any solution, relative to its right side. Small systems are solved to
        rounding.

    Returns
    -------
    array [n_forms, n_shifts, size, n_right]
        Of the type of `forms`.
    """
    if len(forms.like) > SMALL:
        return _Spaces(forms, right, shifts, tolerance).solve()
    xp, like = array_namespace(forms.like), forms.like
    identity = xp.eye(len(like), dtype=like.dtype, device=like.device)
    solutions = []
    for number, own in enumerate(shifts):
        matrix = forms.dense(number)
        parts = [xp.linalg.solve(matrix + float(shift) * identity, right[number]) for shift in own]
        solutions.append(xp.stack(parts))
    return xp.stack(solutions)


class _Spaces:
    """Krylov spaces of all forms, grown block by block until their systems are solved.

    What is solved is dropped, so it costs nothing more.

    Attributes
    ----------
    running : array of int [n_running]
        Numbers of the forms that are not solved yet; what follows is in their order.
    block : array [n_running, size, width]
        Orthonormal directions that come next.
    basis : array [n_running, capacity, size]
        Orthonormal rows, `n_rows` of them so far.
    projected : array of float64 [n_running, n_rows, n_rows]
        The forms in their bases.
    right : array of float64 [n_running, width, width]
        The right sides in the first blocks.
    solutions : array [n_forms, n_shifts, size, width]
        Filled as they are found.
    """

    def __init__(self, forms: Forms, right: Array, shifts: Matrix, tolerance: float) -> None:
        self.xp = array_namespace(forms.like)
        self.forms, self.shifts, self.tolerance = forms, shifts, tolerance
        _, self.size, self.width = right.shape
        self.running = np.arange(len(forms))
        self.block, first = self.xp.linalg.qr(right)
        self.right = _numbers(first)
        self.n_rows = 0
        self.basis = self._empty(len(forms), FIRST_BLOCKS * self.width, self.size)
        self.projected = np.zeros((len(forms), 0, 0))
        self.solutions = self._empty(*shifts.shape, self.size, self.width)

    def solve(self) -> Array:
        """Grow the spaces to the end; return all solutions."""
        n_steps = self.size // self.width
        for step in range(1, n_steps + 1):
            beyond = self._grow()
            # Without overlap nothing is left outside the space.
            ended = ~beyond.any(axis=(1, 2)) | (step == n_steps)
            if step % CHECK_EVERY == 0 or ended.any():
                self._finish(beyond, ended)
            if not len(self.running):
                break
        return self.solutions

    def _grow(self) -> Matrix:
        """Take the block into the bases and find the next one.

        Returns the part of the block's image that lies in the next one [n_running, width, width].
        """
        start, end = self.n_rows, self.n_rows + self.width
        if end > self.basis.shape[1]:
            more = self._empty(*self.basis.shape)
            self.basis = self.xp.concat([self.basis, more], axis=1)
        self.basis[:, start:end] = self.block.mT
        self.n_rows = end
        basis = self.basis[:, :end]
        image = self.forms.times(self.block, self.running)
        along = self.xp.matmul(basis, image)
        image = image - self.xp.matmul(basis.mT, along)
        self.projected = _bordered(self.projected, _numbers(along))
        self.block, beyond = _orthonormal(self.xp, image, basis)
        return _numbers(beyond)

    def _finish(self, beyond: Matrix, ended: NDArray[np.bool_]) -> None:
        """Solve and drop what is exact enough, or cannot grow."""
        kept = []
        for place, number in enumerate(self.running):
            if not ended[place] and not self._is_solved(place, beyond[place]):
                kept.append(place)
                continue
            values, vectors = np.linalg.eigh(self.projected[place])
            rotated = vectors[: self.width].T @ self.right[place]
            values = np.maximum(values, 0)  # rounding makes small ones negative
            shifted = values[:, None] + self.shifts[number][:, None, None]
            inner = vectors @ (rotated / shifted)
            inner = self._like(inner)
            self.solutions[number] = self.xp.matmul(self.basis[place, : self.n_rows].T, inner)
        if len(kept) < len(self.running):
            self.running, self.projected = self.running[kept], self.projected[kept]
            self.right = self.right[kept]
            self.block, self.basis = self.block[kept], self.basis[kept]

    def _is_solved(self, place: int, beyond: Matrix) -> bool:
        """Whether the residuals are small; they are largest at the smallest shift.

        Only the last block reaches beyond the space, so it makes the residual.
        """
        right = np.zeros((self.n_rows, self.width))
        right[: self.width] = self.right[place]
        shifted = self.projected[place].copy()
        shifted[np.diag_indices(self.n_rows)] += self.shifts[self.running[place]].min()
        inner = scipy.linalg.solve(shifted, right, assume_a="sym", check_finite=False)
        residuals = np.linalg.norm(beyond @ inner[-self.width :], axis=0)
        norms = np.maximum(np.linalg.norm(right, axis=0), np.finfo(np.float64).tiny)
        return bool((residuals <= self.tolerance * norms).all())

    def _empty(self, *shape: int) -> Array:
        other = self.forms.like
        return self.xp.empty(shape, dtype=other.dtype, device=other.device)

    def _like(self, values: Matrix) -> Array:
        return like(values, self.forms.like)


def _orthonormal(xp: Array, block: Array, basis: Array) -> tuple[Array, Array]:
    """Orthonormal columns Q, orthogonal to the basis, and R with block = Q R.

    Where columns of the block depend on each other, QR makes directions up. They have no part in
    the block, but may lie in the basis: the second pass loses them, and random ones follow.

    Parameters
    ----------
    xp : namespace
    block : array [n, size, width]
    basis : array [n, n_rows, size]
    """
    q, r = xp.linalg.qr(block)
    for _ in range(MOST_PASSES):
        q, again = xp.linalg.qr(q - xp.matmul(basis.mT, xp.matmul(basis, q)))
        r = xp.matmul(again, r)
        lost = abs(xp.linalg.diagonal(again)) < 0.5
        if not lost.any():
            break
        random = np.random.default_rng(0).normal(size=tuple(q.shape))
        q = xp.where(lost[:, None, :], like(random, q), q)
        r = xp.where(lost[:, :, None], 0.0, r)
    return q, r


def _bordered(projected: Matrix, along: Matrix) -> Matrix:
    """Add the last block's columns to the projected matrices, and its rows by symmetry."""
    n, size, width = along.shape
    grown = np.zeros((n, size, size))
    grown[:, : size - width, : size - width] = projected
    grown[:, :, size - width :] = along
    grown[:, size - width :, :] = along.mT
    corner = grown[:, size - width :, size - width :]
    grown[:, size - width :, size - width :] = (corner + corner.mT) / 2
    return grown


def _numbers(array: Array) -> Matrix:
    if isinstance(array, np.ndarray):
        return array.astype(np.float64)
    moved: Matrix = array.cpu().numpy().astype(np.float64)
    return moved
