"""The Gaussian (RBF) kernel between clips, exact or through landmarks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHUNK_ROWS = 2048


@dataclass(frozen=True)
class KernelFeatures:
    """Features whose inner products are those of an RBF kernel, or the kernel itself.

    With all training rows as basis, the features of a row are its kernel with each of them. With
    fewer, the landmarks, they are the Nystroem approximation: the kernel with the landmarks times
    the inverse root of the landmarks' own kernel (Williams and Seeger, 2001).

    Attributes
    ----------
    basis : array of float32 [n_basis, n_columns]
    gamma : float
        The kernel is ``exp(-gamma |a - b|^2)``.
    whitener : array of float32 [n_basis, n_features], optional
        None for the kernel itself.
    """

    basis: NDArray[np.float32]
    gamma: float
    whitener: NDArray[np.float32] | None

    @property
    def is_kernel(self) -> bool:
        """Whether the features are the kernel with all training rows."""
        return self.whitener is None

    def transform(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return features [n_rows, n_features] of inputs [n_rows, n_columns]."""
        width = len(self.basis) if self.whitener is None else self.whitener.shape[1]
        features = np.empty((len(inputs), width), dtype=np.float32)
        for start in range(0, len(inputs), CHUNK_ROWS):
            kernel = rbf_kernel(inputs[start : start + CHUNK_ROWS], self.basis, self.gamma)
            if self.whitener is not None:
                kernel = kernel @ self.whitener
            features[start : start + CHUNK_ROWS] = kernel
        return features


def fit_features(
    inputs: NDArray[np.float32], width: float, memory_limit_mib: int, n_landmarks: int, seed: int
) -> KernelFeatures:
    """Take all rows as basis, or landmarks where the kernel would not fit the memory.

    Parameters
    ----------
    inputs : array [n_rows, n_columns]
        Standardised, so that the mean squared distance of two rows is about 2 n_columns.
    width : float
        Distance at which the kernel falls to 1/e, squared, in units of that mean.
    memory_limit_mib : int
        Largest kernel [n_rows, n_rows], in MiB.
    n_landmarks : int
        How many rows are drawn, without replacement, beyond that limit; all, if there are fewer.
    seed : int
        Of the draw.
    """
    gamma = 1 / (2 * inputs.shape[1] * width)
    if 4 * len(inputs) ** 2 <= memory_limit_mib * 2**20:
        return KernelFeatures(inputs, gamma, None)
    n_drawn = min(n_landmarks, len(inputs))
    drawn = np.random.default_rng(seed).choice(len(inputs), n_drawn, replace=False)
    landmarks = inputs[np.sort(drawn)]
    kernel = rbf_kernel(landmarks, landmarks, gamma).astype(np.float64)
    values, vectors = np.linalg.eigh(kernel)
    # Below float32 resolution, directions are rounding.
    kept = values > values[-1] * np.finfo(np.float32).eps * len(values)
    whitener = vectors[:, kept] / np.sqrt(values[kept])
    return KernelFeatures(landmarks, gamma, whitener.astype(np.float32))


def rbf_kernel(a: NDArray[np.float32], b: NDArray[np.float32], gamma: float) -> NDArray[np.float32]:
    """Return ``exp(-gamma |a - b|^2)`` between the rows of a and b [n_a, n_b], in float32.

    scikit-learn's function of this name sums distances of float32 rows in float64, at twice the
    time; standardised rows need no more than float32.
    """
    squares = np.einsum("ij,ij->i", a, a)[:, None] + np.einsum("ij,ij->i", b, b)
    squares -= 2 * (a @ b.T)
    np.maximum(squares, 0, out=squares)
    squares *= -gamma
    kernel: NDArray[np.float32] = np.exp(squares, out=squares)
    return kernel
