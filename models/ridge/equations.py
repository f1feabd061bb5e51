"""What ridge regressions on the training sets of folds have to solve.

Leaving folds out is a sum over the other folds' blocks X'X, or a part of the kernel XX'. With the
one, the unknowns are a coefficient for every column; with the other a weight for every training
row. Both give the same predictions; the smaller is taken.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from models.arrays import Bools, Floats, Floats64, Ints, Numbers
from models.ridge.solver import solve_penalised

EXACT_SIZE, EXACT_ROWS = 1000, 400
"""Up to so many columns Gram matrices are summed in float64, up to so many rows kernels; beyond, in
float32 at half the cost. In float64, the kernel of 1,000 rows outgrows a view of 1,908 columns."""
CHUNK_ROWS = 256
"""Rows taken at a time: so few stay in the processor's cache."""
N_STRIPS = 8
"""Of columns, taken one by one. A block ends at its diagonal: five whole ones outgrew a view."""
MOST_KEPT = 1.4
"""Blocks are kept up to so many times the inputs' memory. Beyond, which is with few rows, they are
made again each time, and quickly."""


class FoldGram:
    """Gram matrices of the training sets of rows in folds, from one product per fold.

    Parameters
    ----------
    inputs : array of float32 [n_rows, n_columns]
    fold_of_row : array of int [n_rows]
        Negative for rows that belong to no training set.

    Attributes
    ----------
    folds : list of int
        The numbers of the folds.
    """

    def __init__(self, inputs: Floats, fold_of_row: Ints) -> None:
        self.inputs, self.fold_of_row = inputs, fold_of_row
        self.folds = [int(fold) for fold in np.unique(fold_of_row[fold_of_row >= 0])]
        n_rows, n_columns = int((fold_of_row >= 0).sum()), inputs.shape[1]
        self._of_rows = n_columns >= n_rows
        is_small = n_rows <= EXACT_ROWS if self._of_rows else n_columns <= EXACT_SIZE
        self._type = np.float64 if is_small else inputs.dtype
        self._sums = {
            fold: inputs[fold_of_row == fold].sum(axis=0, dtype=np.float64) for fold in self.folds
        }
        self._kernel: Floats | None = None
        self._strips = _strips(n_columns)
        self._blocks: dict[int, list[Floats]] = {}
        if not self._of_rows and self.nbytes <= MOST_KEPT * inputs.nbytes:
            self._blocks = {fold: list(self._block(fold)) for fold in self.folds}

    @property
    def nbytes(self) -> int:
        """Bytes that the matrices of all folds take, or the kernel of all rows."""
        n_strips = sum((s.stop - s.start) * s.stop for s in self._strips) * len(self.folds)
        n_values = len(self.inputs) ** 2 if self._of_rows else n_strips
        return n_values * np.dtype(self._type).itemsize

    def products(self, targets: Floats64) -> dict[int, Floats]:
        """Multiply the inputs of each fold with targets: [n_columns, n_targets] by fold.

        Where weights of rows are sought nobody needs them, and there are none.
        """
        found: dict[int, Floats] = {}
        for fold in () if self._of_rows else self.folds:
            found[fold] = np.zeros((self.inputs.shape[1], targets.shape[1]), self._type)
            for rows in _chunks(self.fold_of_row == fold):
                part = self.inputs[rows].T.astype(self._type, copy=False)
                found[fold] += part @ targets[rows].astype(self._type)
        return found

    def equations(self, excluded: tuple[int, ...] = ()) -> "RidgeEquations":
        """Return the equations of all rows but those of the excluded folds.

        Numbers that are no fold of the rows' do not matter.
        """
        rows: Bools = (self.fold_of_row >= 0) & ~np.isin(self.fold_of_row, excluded)
        kept = [fold for fold in self.folds if fold not in excluded]
        mean = np.sum([self._sums[fold] for fold in kept], axis=0) / int(rows.sum())
        if self._of_rows:
            kernel = _centred(self._whole_kernel()[np.ix_(rows, rows)])
            return RidgeEquations(rows, self.inputs, mean, kernel, of_rows=True)
        scaled, mean_ = (-int(rows.sum()) * mean).astype(self._type), mean.astype(self._type)
        gram: Floats = np.empty((len(mean), len(mean)), self._type)
        for s in self._strips:
            gram[s, : s.stop] = np.outer(scaled[s], mean_[: s.stop])
        for fold in kept:
            for s, strip in zip(self._strips, self._block(fold), strict=True):
                gram[s, : s.stop] += strip
        _mirror(gram)
        return RidgeEquations(rows, self.inputs, mean, gram, of_rows=False)

    def _block(self, fold: int) -> Iterable[Floats]:
        """Return X'X of a fold's rows, in strips that end at the diagonal."""
        if fold in self._blocks:
            return self._blocks[fold]
        part = self.inputs[self.fold_of_row == fold].astype(self._type, copy=False)
        return (part[:, s].T @ part[:, : s.stop] for s in self._strips)

    def _whole_kernel(self) -> Floats:
        """Return XX' of all rows; made once, and without a copy of the inputs in another type."""
        if self._kernel is None:
            n_rows = len(self.inputs)
            self._kernel = np.zeros((n_rows, n_rows), self._type)
            for columns in _strips(self.inputs.shape[1]):
                part = self.inputs[:, columns].astype(self._type, copy=False)
                for s in _strips(n_rows):
                    self._kernel[s, : s.stop] += part[s] @ part[: s.stop].T
            _mirror(self._kernel)
        return self._kernel


@dataclass(frozen=True, eq=False, repr=False)
class RidgeEquations:
    """What ridge regressions on one training set have to solve; intercepts are not penalised.

    Attributes
    ----------
    rows : array of bool [n_rows]
        The training set.
    inputs : array [n_rows, n_columns]
        All rows.
    mean : array [n_columns]
        Of the training set.
    matrix : array [size, size]
        The centred Gram matrix of the training set, as wide as the unknowns.
    of_rows : bool
        Whether these are weights of the training rows, not coefficients of columns.
    """

    rows: Bools
    inputs: Floats
    mean: Floats64
    matrix: Floats
    of_rows: bool

    @property
    def unit(self) -> float:
        """Mean eigenvalue of the Gram matrix over its possible rank: the unit of penalties.

        The same for both kinds of unknowns; 1 where every input is constant.
        """
        trace = float(np.trace(self.matrix, dtype=np.float64))
        return trace / min(int(self.rows.sum()), len(self.mean)) if trace > 0 else 1.0

    def solve(
        self, targets: Floats64, products: Floats, alphas: Floats64, tolerance: float
    ) -> Floats:
        """Solve one regression per target [n_rows, n_targets] and penalty [n_alphas, n_targets].

        Penalties are multiples of `unit`; the tolerance is that of
        `models.ridge.solver.solve_penalised`. Targets outside the training set do not matter;
        `products` sums up `FoldGram.products` over its folds. Returns the unknowns [n_alphas, size,
        n_targets].
        """
        own, level = targets[self.rows], targets[self.rows].mean(axis=0)
        of_columns = products - len(own) * np.outer(self.mean, level)
        right = own - level if self.of_rows else of_columns
        return solve_penalised(self.matrix, right, self.unit * alphas, tolerance)

    def squared_errors(self, solutions: Floats, targets: Floats64, rows: Bools) -> Floats64:
        """Sum of squared errors on some rows [n_alphas, n_targets] of what `solve` found."""
        coef = self.coefficients(solutions)
        by_column = np.moveaxis(coef, 1, 0).reshape(len(self.mean), -1)
        level = targets[self.rows].mean(axis=0) - np.tensordot(self.mean, coef, (0, 1))
        squares = np.zeros(level.shape)
        for chunk in _chunks(rows):
            predicted = (self.inputs[chunk] @ by_column).reshape(len(chunk), *level.shape)
            squares += np.square(predicted + level - targets[chunk, None]).sum(axis=0)
        return squares

    def coefficients(self, solutions: Floats) -> Floats:
        """Turn unknowns [..., size, n] into coefficients of the inputs [..., n_columns, n]."""
        if not self.of_rows:
            return solutions
        n_columns = self.inputs.shape[1]
        coef = np.empty((*solutions.shape[:-2], n_columns, solutions.shape[-1]), solutions.dtype)
        for s in _strips(n_columns):
            np.matmul(self.inputs[self.rows, s].T, solutions, out=coef[..., s, :])
        return coef

    def intercepts(self, coef: Floats64, targets: Floats64) -> Floats64:
        """Return intercepts [n_targets] for coefficients [n_columns, n_targets]."""
        intercepts: Floats64 = targets[self.rows].mean(axis=0) - self.mean @ coef
        return intercepts


def _strips(n_columns: int) -> list[slice]:
    edges = np.linspace(0, n_columns, N_STRIPS + 1).astype(int)
    return [slice(*pair) for pair in pairwise(edges)]


def _mirror(matrix: Floats) -> None:
    """Fill what is right of the strips of a symmetric matrix."""
    for s in _strips(len(matrix)):
        matrix[: s.start, s] = matrix[s, : s.start].T


def _chunks(rows: Bools) -> list[Numbers]:
    """Return the numbers of the marked rows, some at a time."""
    numbers = np.flatnonzero(rows)
    return np.split(numbers, range(CHUNK_ROWS, len(numbers), CHUNK_ROWS))


def _centred(kernel: Floats) -> Floats:
    """Centre a kernel [n, n] in feature space, in place."""
    mean = kernel.mean(axis=0)
    kernel -= mean
    kernel -= mean[:, None] - mean.mean()
    return kernel
