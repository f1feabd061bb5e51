"""What ridge regressions on the training sets of folds have to solve.

Leaving folds out is a sum over the other folds' blocks X'X, or a part of the kernel XX'. With the
one, the unknowns are a coefficient for every column; with the other a weight for every training
row. Both give the same predictions; the smaller is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from models.arrays import Bools, Floats, Floats64, Ints, Numbers
from models.ridge.solver import MixedMatrix, solve_penalised

EXACT_SIZE = 1000
"""Up to this size, Gram matrices are summed in float64; beyond, in float32 at half the cost."""
CHUNK_ROWS = 2048
"""Rows that are brought to float64 at a time, where that is the type of Gram matrices."""
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
        by_columns = n_columns < n_rows
        self._type = np.float64 if min(n_columns, n_rows) <= EXACT_SIZE else inputs.dtype
        self._sums: dict[int, Floats64] = {}
        self._blocks: dict[int, list[Floats]] = {}
        edges = np.linspace(0, n_columns, N_STRIPS + 1).astype(int)
        self._strips = [slice(*pair) for pair in pairwise(edges)]
        for fold in self.folds:
            part = inputs[fold_of_row == fold]
            self._sums[fold] = part.sum(axis=0, dtype=np.float64)
            if by_columns:
                part = part.astype(self._type, copy=False)
                self._blocks[fold] = [part[:, s].T @ part[:, : s.stop] for s in self._strips]
        self._kernels: dict[tuple[int, ...], list[Floats]] = {}

    @property
    def nbytes(self) -> int:
        """Bytes that the matrices take; or the kernel of all rows will, once it is asked for."""
        strips = sum(strip.nbytes for block in self._blocks.values() for strip in block)
        return strips or len(self.inputs) ** 2 * np.dtype(self._type).itemsize

    def equations(
        self,
        excluded: tuple[int, ...] = (),
        bands: tuple[int, ...] = (),
        shares: Floats64 | None = None,
    ) -> "RidgeEquations":
        """Return the equations of all rows but those of the excluded folds.

        Parameters
        ----------
        excluded : tuple of int
            Numbers of folds; others than those that there are do not matter.
        bands : tuple of int
            Number of columns of each band, where bands are weighed against each other.
        shares : array [n_mixtures, n_bands], optional
            Ways to weigh them: factors of their variances. By default a single one, the columns as
            they are.
        """
        if shares is None:
            bands, shares = (self.inputs.shape[1],), np.ones((1, 1))
        rows: Bools = (self.fold_of_row >= 0) & ~np.isin(self.fold_of_row, excluded)
        scales = np.repeat(np.sqrt(shares), bands, axis=1)
        kept = [fold for fold in self.folds if fold not in excluded]
        mean = np.sum([self._sums[fold] for fold in kept], axis=0) / int(rows.sum())
        if self._blocks:
            scaled, mean_ = (-int(rows.sum()) * mean).astype(self._type), mean.astype(self._type)
            gram: Floats = np.empty((len(mean), len(mean)), self._type)
            for number, s in enumerate(self._strips):
                gram[s, : s.stop] = np.outer(scaled[s], mean_[: s.stop])
                for fold in kept:
                    gram[s, : s.stop] += self._blocks[fold][number]
                gram[: s.start, s] = gram[s, : s.start].T
            return RidgeEquations(rows, self.inputs, mean, scales, MixedMatrix([gram], [scales]))
        if bands not in self._kernels:
            self._kernels[bands] = self._make_kernels(bands)
        kernels = self._kernels[bands]
        parts = [_centred(kernel[np.ix_(rows, rows)]) for kernel in kernels]
        matrix = MixedMatrix(parts, [np.sqrt(share)[:, None] for share in shares.T])
        return RidgeEquations(rows, self.inputs, mean, scales, matrix, kernels, shares)

    def _make_kernels(self, bands: tuple[int, ...]) -> list[Floats]:
        parts = np.split(self.inputs, np.cumsum(bands)[:-1], axis=1)
        parts = [part.astype(self._type, copy=False) for part in parts]
        return [part @ part.T for part in parts]


@dataclass(frozen=True, eq=False, repr=False)
class RidgeEquations:
    """What ridge regressions on one training set have to solve; intercepts are not penalised.

    A regression is one target, on inputs whose columns are scaled in one of several ways
    (mixtures).

    Attributes
    ----------
    rows : array of bool [n_rows]
        The training set.
    inputs : array [n_rows, n_columns]
        All rows.
    mean : array [n_columns]
        Of the training set.
    scales : array [n_mixtures, n_columns]
        Factors of the columns of `inputs`.
    matrix : MixedMatrix
        The centred Gram matrices of the training set in all mixtures, as wide as the unknowns.
    kernels, shares : sequence of array [n_rows, n_rows], array [n_mixtures, n_kernels]
        Where the unknowns are weights of rows: kernels of the bands, not centred, and factors.
    """

    rows: Bools
    inputs: Floats
    mean: Floats64
    scales: Floats64
    matrix: MixedMatrix
    kernels: Sequence[Floats] = ()
    shares: Floats64 | None = None

    @property
    def units(self) -> Floats64:
        """Mean eigenvalues of the Gram matrices over their possible rank [n_mixtures].

        The units of penalties: the same for both kinds of unknowns; 1 where every input is
        constant.
        """
        rank = np.minimum(int(self.rows.sum()), np.count_nonzero(self.scales, axis=1))
        units = self.matrix.traces() / rank
        return np.where(units > 0, units, 1.0)

    def solve(
        self, targets: Floats64, mixture_of_column: Numbers, alphas: Floats64, tolerance: float
    ) -> Floats:
        """Solve one regression per column of targets [n_rows, n] and penalty [n_alphas, n].

        Penalties ascend, in multiples of `units`; the tolerance is that of
        `models.ridge.solver.solve_penalised`. Targets outside the training set do not matter.
        Returns the unknowns [n_alphas, size, n].
        """
        right = targets[self.rows] - targets[self.rows].mean(axis=0)
        if not self.kernels:
            right = self.scales[mixture_of_column].T * self._products(right)
        penalties = self.units[mixture_of_column] * alphas
        return solve_penalised(self.matrix, mixture_of_column, right, penalties, tolerance)

    def squared_errors(
        self, solutions: Floats, targets: Floats64, mixture_of_column: Numbers, rows: Bools
    ) -> Floats64:
        """Sum of squared errors on some rows [n_alphas, n] of what `solve` found."""
        residuals = self._predicted(solutions, mixture_of_column, rows)
        residuals += (targets[self.rows].mean(axis=0) - targets[rows])[:, None]
        squares: Floats64 = np.einsum("rac,rac->ac", residuals, residuals, dtype=np.float64)
        return squares

    def coefficients(self, solutions: Floats, mixture_of_column: Numbers) -> Floats:
        """Turn unknowns [size, n] into coefficients of the inputs [n_columns, n]."""
        scales = self.scales[mixture_of_column].T
        if not self.kernels:
            return scales.astype(solutions.dtype) * solutions
        return np.square(scales).astype(solutions.dtype) * (self.inputs[self.rows].T @ solutions)

    def intercepts(self, coef: Floats64, targets: Floats64) -> Floats64:
        """Return intercepts [n_targets] for coefficients [n_columns, n_targets]."""
        intercepts: Floats64 = targets[self.rows].mean(axis=0) - self.mean @ coef
        return intercepts

    def _products(self, centred: Floats64) -> Floats:
        """Multiply the inputs of the training set with centred targets [n_columns, n]."""
        kind = self.matrix.dtype
        total = np.zeros((self.matrix.size, centred.shape[1]), kind)
        padded = np.zeros((len(self.rows), centred.shape[1]), kind)
        padded[self.rows] = centred
        for start in range(0, len(padded), CHUNK_ROWS):
            chunk = slice(start, start + CHUNK_ROWS)
            total += self.inputs[chunk].T.astype(kind, copy=False) @ padded[chunk]
        return total

    def _predicted(self, solutions: Floats, mixture_of_column: Numbers, rows: Bools) -> Floats:
        """Predict rows, less the mean of the training targets [n, n_alphas, n_columns]."""
        if self.shares is None:
            coef = self.coefficients(solutions, mixture_of_column)
            return np.tensordot(self.inputs[rows], coef, (1, 1)) - np.tensordot(
                self.mean, coef, (0, 1)
            )
        total = np.zeros((int(rows.sum()), len(solutions), solutions.shape[2]), solutions.dtype)
        for kernel, share in zip(self.kernels, self.shares.T, strict=True):
            # Weights sum to 0, so centring leaves an offset alone.
            mean = kernel[np.ix_(self.rows, self.rows)].mean(axis=0)
            weights = share[mixture_of_column].astype(solutions.dtype) * solutions
            total += np.tensordot(kernel[np.ix_(rows, self.rows)] - mean, weights, (1, 1))
        return total


def _centred(kernel: Floats) -> Floats:
    """Centre a kernel [n, n] in feature space, in place."""
    mean = kernel.mean(axis=0)
    kernel -= mean
    kernel -= mean[:, None] - mean.mean()
    return kernel
