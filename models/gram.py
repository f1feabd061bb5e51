"""Gram matrices of every training set of folds, from one product per fold.

Leaving folds out is a sum over the other folds' blocks X'X (primal: as wide as the columns), or a
part of the kernel XX' (dual: as wide as the rows). The smaller of the two is taken. What is solved
with either, at any penalty, are the coefficients of a ridge regression with an intercept.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

from models.arrays import Bools, Floats, Ints
from models.device import fetch, gpu, put
from models.shifted import Array

EXACT_SIZE = 2000
"""Up to this size, Gram matrices are summed in float64; beyond, in float32 at half the cost."""


@dataclass(frozen=True)
class System:
    """The centred Gram matrix of one training set.

    Attributes
    ----------
    matrix : array [size, size]
    rows : array of bool [n_rows]
        The training set.
    mean : array [n_columns]
        Column means of the training set.
    inputs : array [n_rows, n_columns]
    is_dual : bool
        Whether `matrix` is as wide as the training rows, not the columns.
    """

    matrix: Array
    rows: Bools
    mean: Array
    inputs: Array
    is_dual: bool

    @property
    def unit(self) -> float:
        """The mean eigenvalue of the Gram matrix over its possible rank: the unit of penalties.

        The same on both sides; 1 where every input is constant.
        """
        trace = float(array_namespace(self.matrix).linalg.trace(self.matrix))
        return trace / min(int(self.rows.sum()), self.inputs.shape[1]) or 1.0

    def right_side(self, targets: NDArray[np.float64]) -> Array:
        """Right sides [size, n_targets] of the ridge regression of `targets` [n_rows, n_targets].

        Values outside the training set do not matter.
        """
        centred = np.zeros(targets.shape)
        centred[self.rows] = targets[self.rows] - targets[self.rows].mean(axis=0)
        values = centred[self.rows] if self.is_dual else centred
        xp = array_namespace(self.matrix)
        values = xp.asarray(values, dtype=self.matrix.dtype, device=self.matrix.device)
        if self.is_dual:
            return values
        return xp.matmul(self.inputs.T, xp.astype(values, self.inputs.dtype))

    def coef(self, solutions: Array) -> NDArray[np.floating]:
        """Coefficients [..., n_columns, n_targets] of solutions [..., size, n_targets]."""
        if self.is_dual:
            xp, device = array_namespace(self.inputs), self.inputs.device
            rows = self.inputs[xp.asarray(self.rows, device=device)]
            solutions = xp.asarray(solutions, dtype=rows.dtype, device=device)
            solutions = xp.matmul(rows.T, solutions)
        found: NDArray[np.floating] = fetch(solutions)
        return found


class FoldGram(ABC):
    """Gram matrices of training sets of rows in folds.

    Parameters
    ----------
    inputs : array of float32 [n_rows, n_columns]
    fold_of_row : array of int [n_rows]
        Negative for rows that belong to no training set.
    device : str, optional
        A torch device, or None for NumPy.
    """

    def __init__(self, inputs: Floats, fold_of_row: Ints, device: str | None = None) -> None:
        self.fold_of_row = fold_of_row
        self.folds = [int(fold) for fold in np.unique(fold_of_row[fold_of_row >= 0])]
        self.inputs = put(inputs, device)
        self.size = min(inputs.shape)

    def rows(self, excluded: tuple[int, ...]) -> Bools:
        """Mark the training set that is left without the excluded folds [n_rows]."""
        rows: Bools = (self.fold_of_row >= 0) & ~np.isin(self.fold_of_row, excluded)
        return rows

    @abstractmethod
    def system(self, excluded: tuple[int, ...]) -> System:
        """Centred Gram matrix of all rows but those of the excluded folds."""

    def _part(self, rows: Bools) -> Array:
        """Take the inputs of some rows, in the precision of the sums."""
        xp = array_namespace(self.inputs)
        part = self.inputs[xp.asarray(rows, device=self.inputs.device)]
        return xp.astype(part, xp.float64) if self.size <= EXACT_SIZE else part


class PrimalGram(FoldGram):
    """One block X'X [n_columns, n_columns] per fold; a training set is their sum, centred."""

    def __init__(self, inputs: Floats, fold_of_row: Ints, device: str | None = None) -> None:
        super().__init__(inputs, fold_of_row, device)
        parts = (self._part(fold_of_row == fold) for fold in self.folds)
        self._blocks = {}
        for fold, part in zip(self.folds, parts, strict=True):
            self._blocks[fold] = part.T @ part, part.sum(0), len(part)

    def system(self, excluded: tuple[int, ...]) -> System:  # noqa: D102 (inherited)
        kept = [block for fold, block in self._blocks.items() if fold not in excluded]
        matrix, mean, n_rows = kept[0][0] + 0, kept[0][1] + 0, kept[0][2]
        for gram, total, n in kept[1:]:
            matrix += gram
            mean += total
            n_rows += n
        mean /= n_rows
        for start in range(0, len(mean), 512):  # in slices: the outer product is as large as X'X
            matrix[start : start + 512] -= (n_rows * mean[start : start + 512, None]) * mean
        return System(matrix, self.rows(excluded), fetch(mean), self.inputs, is_dual=False)


class DualGram(FoldGram):
    """One kernel XX' [n_rows, n_rows]; a training set is a part of it, centred."""

    def __init__(self, inputs: Floats, fold_of_row: Ints, device: str | None = None) -> None:
        super().__init__(inputs, fold_of_row, device)
        part = self._part(np.ones(len(inputs), dtype=np.bool_))
        self._kernel = part @ part.T

    def system(self, excluded: tuple[int, ...]) -> System:  # noqa: D102 (inherited)
        rows = self.rows(excluded)
        chosen = array_namespace(self.inputs).asarray(rows, device=self.inputs.device)
        mean = fetch(self.inputs[chosen].mean(0))
        return System(centred_part(self._kernel, rows), rows, mean, self.inputs, is_dual=True)


def make_gram(inputs: Floats, fold_of_row: Ints) -> FoldGram:
    """Take the smaller side, on the GPU when there is one."""
    n_rows = int((fold_of_row >= 0).sum())
    side = DualGram if n_rows < inputs.shape[1] else PrimalGram
    return side(inputs, fold_of_row, gpu())


def centred_part(kernel: Array, rows: Bools) -> Array:
    """Part of a kernel [n_rows, n_rows] between the marked rows, centred in feature space."""
    chosen = array_namespace(kernel).asarray(np.flatnonzero(rows), device=kernel.device)
    part = kernel[chosen][:, chosen]
    mean = part.mean(0)
    part -= mean
    part -= mean[:, None] - mean.mean()
    return part
