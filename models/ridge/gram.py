"""Gram matrices of every training set of folds, from one product per fold.

Leaving folds out is a sum over the other folds' blocks X'X, or a part of the kernel XX'. The
smaller of the two is taken.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.arrays import Bools, Floats, Ints
from models.ridge.equations import ColumnEquations, RidgeEquations, RowEquations

Matrix = NDArray[np.floating[Any]]

EXACT_SIZE = 2000
"""Up to this size, Gram matrices are summed in float64; beyond, in float32 at half the cost."""


@dataclass(frozen=True)
class BandMixtures:
    """Ways to weigh bands of columns against each other.

    Attributes
    ----------
    widths : tuple of int
        Number of columns of each band, in order.
    shares : array [n_mixtures, n_bands]
        Factors of the variances of the bands.
    """

    widths: tuple[int, ...]
    shares: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.shares.ndim != 2 or self.shares.shape[1] != len(self.widths):
            raise ValueError(
                f"shares has shape {self.shares.shape}; expected [n_mixtures, {len(self.widths)}], "
                "a column for each band."
            )


class FoldGram:
    """Gram matrices of the training sets of rows in folds.

    Parameters
    ----------
    inputs : array of float32 [n_rows, n_columns]
        Or a kernel [n_rows, n_rows] of any sort.
    fold_of_row : array of int [n_rows]
        Negative for rows that belong to no training set.
    is_kernel : bool
        Whether `inputs` is a kernel.
    by_columns : bool, optional
        Whether the Gram matrices are X'X [n_columns, n_columns], not XX' [n_rows, n_rows]; by
        default, whatever is smaller.

    Attributes
    ----------
    folds : list of int
        The numbers of the folds.
    """

    def __init__(
        self,
        inputs: Floats,
        fold_of_row: Ints,
        is_kernel: bool = False,
        by_columns: bool | None = None,
    ) -> None:
        self.inputs, self.fold_of_row, self.is_kernel = inputs, fold_of_row, is_kernel
        self.folds = [int(fold) for fold in np.unique(fold_of_row[fold_of_row >= 0])]
        n_rows, n_columns = int((fold_of_row >= 0).sum()), inputs.shape[1]
        if by_columns is None:
            by_columns = n_columns <= n_rows and not is_kernel
        size = n_columns if by_columns else n_rows
        self._type = np.float64 if size <= EXACT_SIZE else inputs.dtype
        self._sums: dict[int, NDArray[np.float64]] = {}
        self._blocks: dict[int, Matrix] = {}
        for fold in self.folds:
            part = inputs[fold_of_row == fold]
            self._sums[fold] = part.sum(axis=0, dtype=np.float64)
            if by_columns:
                part = part.astype(self._type, copy=False)
                self._blocks[fold] = part.T @ part
        self._kernels: dict[tuple[int, ...], list[Matrix]] = {}

    def equations(
        self, excluded: tuple[int, ...] = (), mixtures: BandMixtures | None = None
    ) -> RidgeEquations:
        """Return the equations of all rows but those of the excluded folds.

        Parameters
        ----------
        excluded : tuple of int
            Numbers of folds; others than those that there are do not matter.
        mixtures : BandMixtures, optional
            By default a single one, the columns as they are.
        """
        rows: Bools = (self.fold_of_row >= 0) & ~np.isin(self.fold_of_row, excluded)
        if mixtures is None:
            mixtures = BandMixtures((self.inputs.shape[1],), np.ones((1, 1)))
        scales = np.repeat(np.sqrt(mixtures.shares), mixtures.widths, axis=1)
        kept = [fold for fold in self.folds if fold not in excluded]
        mean = np.sum([self._sums[fold] for fold in kept], axis=0) / int(rows.sum())
        if self._blocks:
            scaled = (-int(rows.sum()) * mean).astype(self._type)
            gram: Matrix = np.outer(scaled, mean.astype(self._type))
            for fold in kept:
                gram += self._blocks[fold]
            return ColumnEquations(rows, self.inputs, mean, scales, gram)
        if mixtures.widths not in self._kernels:
            self._kernels[mixtures.widths] = self._make_kernels(mixtures.widths)
        kernels = self._kernels[mixtures.widths]
        shares = mixtures.shares
        return RowEquations(rows, self.inputs, mean, scales, kernels, shares, self.is_kernel)

    def _make_kernels(self, widths: tuple[int, ...]) -> list[Matrix]:
        if self.is_kernel:
            return [self.inputs.astype(self._type, copy=False)]
        parts = np.split(self.inputs, np.cumsum(widths)[:-1], axis=1)
        bands = [part.astype(self._type, copy=False) for part in parts]
        return [band @ band.T for band in bands]
