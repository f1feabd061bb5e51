"""What ridge regressions on the training sets of folds have to solve.

Leaving folds out is a sum over the other folds' blocks X'X, or a part of the kernel XX'. With the
one, the unknowns are a coefficient for every column; with the other a weight for every training
row. Both give the same predictions; the smaller is taken.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from models.arrays import Bools, Floats, Floats64, Ints, Numbers
from models.ridge.solver import solve_penalised

EXACT_SIZE = 1000
"""Up to this size, Gram matrices are summed in float64; beyond, in float32 at half the cost."""
CHUNK_ROWS = 256
"""Rows taken at a time: so few stay in the processor's cache."""
N_STRIPS = 8
"""Of a block, whose upper triangle is not kept: five folds' whole ones were larger than a view."""


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
        self._type = np.float64 if min(n_columns, n_rows) <= EXACT_SIZE else inputs.dtype
        self._sums: dict[int, Floats64] = {}
        self._blocks: dict[int, list[Floats]] = {}  # left empty where the kernel is smaller
        self._kernel: Floats | None = None
        edges = np.linspace(0, n_columns, N_STRIPS + 1).astype(int)
        self._strips = [slice(*pair) for pair in pairwise(edges)]
        for fold in self.folds:
            part = inputs[fold_of_row == fold]
            self._sums[fold] = part.sum(axis=0, dtype=np.float64)
            if n_columns < n_rows:
                part = part.astype(self._type, copy=False)
                self._blocks[fold] = [part[:, s].T @ part[:, : s.stop] for s in self._strips]

    @property
    def nbytes(self) -> int:
        """Bytes that the matrices take; or the kernel of all rows will, once it is asked for."""
        strips = sum(strip.nbytes for block in self._blocks.values() for strip in block)
        return strips or len(self.inputs) ** 2 * np.dtype(self._type).itemsize

    def products(self, targets: Floats64) -> dict[int, Floats]:
        """Multiply the inputs of each fold with targets: [n_columns, n_targets] by fold.

        Where weights of rows are sought nobody needs them, and there are none.
        """
        found = {}
        for fold in self._blocks:
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
        if not self._blocks:
            if self._kernel is None:
                inputs = self.inputs.astype(self._type, copy=False)
                self._kernel = inputs @ inputs.T
            kernel = _centred(self._kernel[np.ix_(rows, rows)])
            return RidgeEquations(rows, self.inputs, mean, kernel, of_rows=True)
        scaled, mean_ = (-int(rows.sum()) * mean).astype(self._type), mean.astype(self._type)
        gram: Floats = np.empty((len(mean), len(mean)), self._type)
        for number, s in enumerate(self._strips):
            gram[s, : s.stop] = np.outer(scaled[s], mean_[: s.stop])
            for fold in kept:
                gram[s, : s.stop] += self._blocks[fold][number]
            gram[: s.start, s] = gram[s, : s.start].T
        return RidgeEquations(rows, self.inputs, mean, gram, of_rows=False)


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
        return np.matmul(self.inputs[self.rows].T, solutions) if self.of_rows else solutions

    def intercepts(self, coef: Floats64, targets: Floats64) -> Floats64:
        """Return intercepts [n_targets] for coefficients [n_columns, n_targets]."""
        intercepts: Floats64 = targets[self.rows].mean(axis=0) - self.mean @ coef
        return intercepts


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
