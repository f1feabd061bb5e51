"""Symmetric matrices made of the same numbers, multiplied at once: reading is what takes time."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

from models.device import fetch, like

Array = Any
"""A matrix of NumPy, or of torch on a GPU."""
Matrix = NDArray[np.float64]


class Forms(ABC):
    """Symmetric, positive semidefinite matrices [n_forms] of one size.

    Attributes
    ----------
    like : array [size, size]
        Of the type and on the device of all of them.
    """

    like: Array

    @abstractmethod
    def __len__(self) -> int:
        """Count the matrices."""

    @abstractmethod
    def times(self, blocks: Array, numbers: NDArray[np.intp]) -> Array:
        """Multiply a block each [n, size, width] by the matrices of these numbers [n]."""

    @abstractmethod
    def dense(self, number: int) -> Array:
        """Return one of them [size, size]."""

    @abstractmethod
    def traces(self) -> Matrix:
        """Return the sums of their diagonals [n_forms]."""


class ScaledForms(Forms):
    """D A D for several diagonal matrices D.

    Parameters
    ----------
    matrix : array [size, size]
        A.
    scales : array [n_forms, size], optional
        The diagonals; left out, A itself is the only form.
    """

    def __init__(self, matrix: Array, scales: Array | None = None) -> None:
        self.like = matrix
        self.scales = scales

    def __len__(self) -> int:
        return 1 if self.scales is None else len(self.scales)

    def times(self, blocks: Array, numbers: NDArray[np.intp]) -> Array:  # noqa: D102 (inherited)
        if self.scales is None:
            return array_namespace(blocks).matmul(self.like, blocks)
        scales = self.scales[numbers][:, :, None]
        return scales * _times_all(self.like, scales * blocks)

    def dense(self, number: int) -> Array:  # noqa: D102 (inherited)
        if self.scales is None:
            return self.like
        return self.scales[number][:, None] * self.like * self.scales[number]

    def traces(self) -> Matrix:  # noqa: D102 (inherited)
        diagonal = fetch(array_namespace(self.like).linalg.diagonal(self.like)).astype(np.float64)
        if self.scales is None:
            return np.array([diagonal.sum()])
        traces: Matrix = np.square(fetch(self.scales), dtype=np.float64) @ diagonal
        return traces


class MixedForms(Forms):
    """Weighted sums of matrices.

    Parameters
    ----------
    parts : sequence of array [size, size]
    weights : array [n_forms, n_parts]
        Not negative.
    """

    def __init__(self, parts: Sequence[Array], weights: Matrix) -> None:
        self.like = parts[0]
        self.parts = parts
        self.weights = weights

    def __len__(self) -> int:
        return len(self.weights)

    def times(self, blocks: Array, numbers: NDArray[np.intp]) -> Array:  # noqa: D102 (inherited)
        xp = array_namespace(blocks)
        total = xp.zeros_like(blocks)
        for part, weight in zip(self.parts, self.weights[numbers].T, strict=True):
            total += like(weight, blocks)[:, None, None] * _times_all(part, blocks)
        return total

    def dense(self, number: int) -> Array:  # noqa: D102 (inherited)
        weighted = zip(self.weights[number], self.parts, strict=True)
        return sum(float(weight) * part for weight, part in weighted)

    def traces(self) -> Matrix:  # noqa: D102 (inherited)
        xp = array_namespace(self.like)
        of_parts = [fetch(xp.linalg.diagonal(part)).sum(dtype=np.float64) for part in self.parts]
        traces: Matrix = self.weights @ np.array(of_parts)
        return traces


def _times_all(matrix: Array, blocks: Array) -> Array:
    """Multiply blocks [n, size, width] by one matrix, side by side."""
    xp = array_namespace(blocks)
    n, size, width = blocks.shape
    side_by_side = xp.reshape(xp.permute_dims(blocks, (1, 0, 2)), (size, -1))
    product = xp.reshape(xp.matmul(matrix, side_by_side), (size, n, width))
    return xp.permute_dims(product, (1, 0, 2))
