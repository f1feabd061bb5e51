"""Gram matrices of every training set of folds, from one product per fold.

Leaving folds out is a sum over the other folds' blocks X'X (primal: as wide as the columns), or a
part of the kernel XX' (dual: as wide as the rows). The smaller of the two is taken.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from array_api_compat import array_namespace

from models.arrays import Bools, Floats, Ints
from models.device import gpu, like, put
from models.ridge.forms import Array, Matrix
from models.ridge.ridge_system import DualSystem, KernelSystem, PrimalSystem, System

SLICE_ROWS = 256
"""Rows of a Gram matrix that are summed together: few enough to stay in the processor's cache."""
EXACT_SIZE = 2000
"""Up to this size, Gram matrices are summed in float64; beyond, in float32 at half the cost."""


@dataclass(frozen=True)
class Mixtures:
    """Bands of columns, scaled in several ways.

    Attributes
    ----------
    widths : tuple of int
        Number of columns of each band.
    shares : array [n_mixtures, n_bands]
        Factors of the bands' own Gram matrices.
    """

    widths: tuple[int, ...]
    shares: Matrix

    def scales(self, other: Array) -> Array:
        """Return factors of the columns [n_mixtures, n_columns], as an array like another."""
        scales = np.repeat(np.sqrt(self.shares), self.widths, axis=1)
        return like(scales, other)


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
    def system(self, excluded: tuple[int, ...], mixtures: Mixtures | None = None) -> System:
        """Centred Gram matrices of all rows but those of the excluded folds.

        One for each mixture of bands; without them one of the columns as they are.
        """

    def _chosen(self, rows: Bools) -> Array:
        return self.inputs[array_namespace(self.inputs).asarray(rows, device=self.inputs.device)]

    def _for_sums(self, part: Array) -> Array:
        xp = array_namespace(part)
        return xp.astype(part, xp.float64) if self.is_exact else part


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

    def system(  # noqa: D102 (inherited)
        self, excluded: tuple[int, ...], mixtures: Mixtures | None = None
    ) -> System:
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
        scales = None if mixtures is None else mixtures.scales(matrix)
        return PrimalSystem(self.rows(excluded), self.inputs, mean, scales, matrix)


class DualGram(FoldGram):
    """One kernel XX' [n_rows, n_rows], or one for each band; a training set is a part of it."""

    _system: type[DualSystem] = DualSystem

    def __init__(self, inputs: Floats, fold_of_row: Ints, device: str | None = None) -> None:
        super().__init__(inputs, fold_of_row, device)
        self._kernels: dict[tuple[int, ...], list[Array]] = {}

    def system(  # noqa: D102 (inherited)
        self, excluded: tuple[int, ...], mixtures: Mixtures | None = None
    ) -> System:
        rows, scales, weights = self.rows(excluded), None, np.ones((1, 1))
        widths: tuple[int, ...] = (self.inputs.shape[1],)
        if mixtures is not None:
            widths, weights = mixtures.widths, mixtures.shares
            scales = mixtures.scales(self.inputs)
        if widths not in self._kernels:
            self._kernels[widths] = self._make_kernels(widths)
        kernels, mean = self._kernels[widths], self._chosen(rows).mean(0)
        parts = [_centred_part(kernel, rows) for kernel in kernels]
        return self._system(rows, self.inputs, mean, scales, kernels, parts, weights)

    def _make_kernels(self, widths: tuple[int, ...]) -> list[Array]:
        stops = np.cumsum(widths)
        bands = [
            self._for_sums(self.inputs[:, stop - width : stop])
            for stop, width in zip(stops, widths, strict=True)
        ]
        return [band @ band.T for band in bands]


class KernelGram(DualGram):
    """A kernel [n_rows, n_rows] of any sort, in the place of inputs."""

    _system = KernelSystem

    def _make_kernels(self, widths: tuple[int, ...]) -> list[Array]:  # noqa: ARG002
        return [self.inputs]


def make_gram(inputs: Floats, fold_of_row: Ints) -> FoldGram:
    """Take the smaller side, on the GPU when there is one and enough to do."""
    n_rows, n_columns = int((fold_of_row >= 0).sum()), inputs.shape[1]
    side = DualGram if n_rows < n_columns else PrimalGram
    return side(inputs, fold_of_row, gpu(2 * n_rows * n_columns * min(n_rows, n_columns)))


def _centred_part(kernel: Array, rows: Bools) -> Array:
    """Part of a kernel [n_rows, n_rows] between the marked rows, centred in feature space."""
    chosen = array_namespace(kernel).asarray(np.flatnonzero(rows), device=kernel.device)
    part = kernel[chosen][:, chosen]
    mean = part.mean(0)
    part -= mean
    part -= mean[:, None] - mean.mean()
    return part
