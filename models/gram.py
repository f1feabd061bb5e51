"""Gram matrices of every training set of folds, from one product per fold.

Leaving folds out is a sum over the other folds' blocks X'X (primal: as wide as the columns), or a
part of the kernel XX' (dual: as wide as the rows). The smaller of the two is taken.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

from models.arrays import Bools, Floats, Ints
from models.device import gpu, put
from models.ridge_system import System
from models.shifted import Array

SLICE_ROWS = 256
"""Rows of a Gram matrix that are summed together: few enough to stay in the processor's cache."""
EXACT_SIZE = 2000
"""Up to this size, Gram matrices are summed in float64; beyond, in float32 at half the cost."""


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
        self.is_exact = min(inputs.shape) <= EXACT_SIZE

    def rows(self, excluded: tuple[int, ...]) -> Bools:
        """Mark the training set that is left without the excluded folds [n_rows]."""
        rows: Bools = (self.fold_of_row >= 0) & ~np.isin(self.fold_of_row, excluded)
        return rows

    @abstractmethod
    def system(self, excluded: tuple[int, ...]) -> System:
        """Centred Gram matrix of all rows but those of the excluded folds."""

    @abstractmethod
    def mixtures(
        self, excluded: tuple[int, ...], widths: tuple[int, ...], shares: NDArray[np.float64]
    ) -> Iterator[System]:
        """Systems of the same rows with bands of columns scaled; in all, one scale per mixture.

        Parameters
        ----------
        excluded : tuple of int
        widths : tuple of int
            Number of columns of each band.
        shares : array [n_mixtures, n_bands]
            Factors of the bands' own Gram matrices.
        """

    def _chosen(self, rows: Bools) -> Array:
        return self.inputs[array_namespace(self.inputs).asarray(rows, device=self.inputs.device)]

    def _for_sums(self, part: Array) -> Array:
        xp = array_namespace(part)
        return xp.astype(part, xp.float64) if self.is_exact else part

    def _scales(self, widths: tuple[int, ...], shares: NDArray[np.float64], like: Array) -> Array:
        scales = np.repeat(np.sqrt(shares), widths, axis=1)
        return array_namespace(like).asarray(scales, dtype=like.dtype, device=like.device)


class PrimalGram(FoldGram):
    """One block X'X [n_columns, n_columns] per fold; a training set is their sum, centred.

    Of each block the half below the diagonal is kept, in slices of rows.
    """

    def __init__(self, inputs: Floats, fold_of_row: Ints, device: str | None = None) -> None:
        super().__init__(inputs, fold_of_row, device)
        self._slices = [
            slice(start, min(start + SLICE_ROWS, inputs.shape[1]))
            for start in range(0, inputs.shape[1], SLICE_ROWS)
        ]
        self._blocks = {}
        for fold in self.folds:
            part = self._for_sums(self._chosen(fold_of_row == fold))
            lower = [part[:, rows].T @ part[:, : rows.stop] for rows in self._slices]
            self._blocks[fold] = lower, part.sum(0), len(part)

    def system(self, excluded: tuple[int, ...]) -> System:  # noqa: D102 (inherited)
        kept = [block for fold, block in self._blocks.items() if fold not in excluded]
        n_rows = sum(n for *_, n in kept)
        mean = sum(total for _, total, _ in kept) / n_rows
        xp, size = array_namespace(self.inputs), len(mean)
        matrix = xp.empty((size, size), dtype=mean.dtype, device=self.inputs.device)
        for number, rows in enumerate(self._slices):
            lower = n_rows * mean[rows, None] * -mean[: rows.stop]
            for block, *_ in kept:
                lower += block[number]
            matrix[rows, : rows.stop] = lower
            matrix[: rows.start, rows] = lower[:, : rows.start].T
        return System(matrix, self.rows(excluded), mean, self.inputs, is_dual=False)

    def mixtures(  # noqa: D102 (inherited)
        self, excluded: tuple[int, ...], widths: tuple[int, ...], shares: NDArray[np.float64]
    ) -> Iterator[System]:
        system = self.system(excluded)
        yield replace(system, scales=self._scales(widths, shares, system.matrix))


class DualGram(FoldGram):
    """One kernel XX' [n_rows, n_rows]; a training set is a part of it, centred."""

    def __init__(self, inputs: Floats, fold_of_row: Ints, device: str | None = None) -> None:
        super().__init__(inputs, fold_of_row, device)
        part = self._for_sums(self.inputs)
        self._kernel = part @ part.T
        self._bands: dict[tuple[int, ...], list[Array]] = {}

    def system(self, excluded: tuple[int, ...]) -> System:  # noqa: D102 (inherited)
        return self._system(self._kernel, excluded, None)

    def mixtures(  # noqa: D102 (inherited)
        self, excluded: tuple[int, ...], widths: tuple[int, ...], shares: NDArray[np.float64]
    ) -> Iterator[System]:
        if widths not in self._bands:
            stops = np.cumsum(widths)
            parts = [
                self._for_sums(self.inputs[:, stop - width : stop])
                for stop, width in zip(stops, widths, strict=True)
            ]
            self._bands[widths] = [part @ part.T for part in parts]
        for share in shares:
            kernel = sum(
                float(each) * band for each, band in zip(share, self._bands[widths], strict=True)
            )
            yield self._system(kernel, excluded, self._scales(widths, share[None], self.inputs))

    def _system(self, kernel: Array, excluded: tuple[int, ...], scales: Array | None) -> System:
        rows = self.rows(excluded)
        matrix, mean = centred_part(kernel, rows), self._chosen(rows).mean(0)
        return System(matrix, rows, mean, self.inputs, is_dual=True, scales=scales)


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
