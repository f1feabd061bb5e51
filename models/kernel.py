"""Features of a Gaussian (RBF) kernel, whose inner products are the kernel between rows.

With as many landmarks as rows that is exact; with fewer, as near as these come (Nystroem's
approximation). They are drawn by randomly pivoted Cholesky decomposition (Chen et al., 2023, arXiv
2207.06503): a row is the likelier the less of its kernel those before it explain.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from models.arrays import Bools, Floats, Floats32, Floats64

BLOCK = 256
"""Landmarks drawn at a time."""
CHUNK_ROWS = 2048
LEAST_RESIDUAL = 1e-5
"""What float32 leaves of a kernel of 1; rows that are explained so far are no landmarks."""


@dataclass(frozen=True, eq=False, repr=False)
class KernelBasis:
    """Landmarks, to say of new rows what was fitted on features.

    Attributes
    ----------
    landmarks : array of float32 [n_landmarks, n_columns]
    gamma : float
        The kernel is ``exp(-gamma |a - b|^2)``.
    """

    landmarks: Floats32
    gamma: float

    def times(self, inputs: Floats32, weights: Floats) -> Floats64:
        """Multiply the kernel between inputs and landmarks with weights [n_landmarks, n]."""
        product = np.empty((len(inputs), weights.shape[1]))
        for chunk in _chunks(len(inputs)):
            product[chunk] = rbf_kernel(inputs[chunk], self.landmarks, self.gamma) @ weights
        return product


@dataclass(frozen=True, eq=False, repr=False)
class KernelFeatures:
    """Features of rows, and how they come from the kernel with the landmarks.

    Attributes
    ----------
    basis : KernelBasis
    values : array of float32 [n_rows, n_landmarks]
        The features.
    triangle : array of float32 [n_landmarks, n_landmarks]
        Lower; `values` times its transpose are the kernel with the landmarks.
    """

    basis: KernelBasis
    values: Floats32
    triangle: Floats32

    def weights(self, coef: Floats) -> Floats64:
        """Turn coefficients of features into weights of landmarks [n_landmarks, n]."""
        solved = scipy.linalg.solve_triangular(self.triangle, coef, trans=1, lower=True)
        return np.asarray(solved, np.float64)


def kernel_features(
    inputs: Floats32, rows: Bools, gamma: float, n_landmarks: int, seed: int
) -> KernelFeatures:
    """Make features of inputs [n_rows, n_columns].

    `n_landmarks` are drawn from the marked rows [n_rows]: fewer, where there are no more of these
    or others would add nothing.
    """
    generator = np.random.default_rng(seed)
    n_most = min(n_landmarks, int(rows.sum()))
    values = np.zeros((len(inputs), n_most), np.float32)
    triangle, chosen = np.zeros((n_most, n_most), np.float32), np.zeros(0, np.intp)
    residual = rows.astype(np.float64)
    while (n := len(chosen)) < n_most:
        left = np.flatnonzero(residual > LEAST_RESIDUAL)
        if not len(left):
            break
        n_drawn = min(BLOCK, n_most - n, len(left))
        share = residual[left] / residual[left].sum()
        drawn = np.sort(generator.choice(left, n_drawn, replace=False, p=share))
        block = slice(n, n + n_drawn)
        known = values[drawn, :n].T
        unexplained = np.empty((len(inputs), n_drawn), np.float32)
        for chunk in _chunks(len(inputs)):
            kernel = rbf_kernel(inputs[chunk], inputs[drawn], gamma)
            unexplained[chunk] = kernel - values[chunk, :n] @ known
        # Of alike rows, rounding can leave a matrix that is no kernel.
        sizes, axes = np.linalg.eigh(unexplained[drawn].astype(np.float64))
        root = np.linalg.cholesky((axes * np.maximum(sizes, LEAST_RESIDUAL)) @ axes.T)
        triangle[block, :n], triangle[block, block] = known.T, root
        values[:, block] = unexplained @ np.linalg.inv(root).T.astype(np.float32)
        residual -= np.einsum("ij,ij->i", values[:, block], values[:, block])
        residual[drawn] = 0
        chosen = np.append(chosen, drawn)
    n = len(chosen)
    return KernelFeatures(KernelBasis(inputs[chosen], gamma), values[:, :n], triangle[:n, :n])


def rbf_kernel(a: Floats32, b: Floats32, gamma: float) -> Floats32:
    """Return ``exp(-gamma |a - b|^2)`` between the rows of a and b [n_a, n_b], in float32.

    scikit-learn's function of this name sums distances of float32 rows in float64, at twice the
    time; standardised rows need no more than float32.
    """
    squares = np.einsum("ij,ij->i", a, a)[:, None] + np.einsum("ij,ij->i", b, b)
    squares -= 2 * (a @ b.T)
    np.maximum(squares, 0, out=squares)
    squares *= -gamma
    kernel: Floats32 = np.exp(squares, out=squares)
    return kernel


def _chunks(n_rows: int) -> list[slice]:
    return [slice(start, start + CHUNK_ROWS) for start in range(0, n_rows, CHUNK_ROWS)]
