"""The equations of ridge regressions on one training set, with columns or with rows as unknowns.

The unknowns are a coefficient for every column, or, where there are fewer rows than columns or only
a kernel is known, a weight for every training row. Both give the same predictions.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.arrays import Bools
from models.ridge.solver import MixedMatrix, solve_penalised

Matrix = NDArray[np.floating[Any]]
Floats64 = NDArray[np.float64]
Numbers = NDArray[np.intp]

CHUNK_ROWS = 2048
"""Rows that are brought to float64 at a time, where that is the type of Gram matrices."""


class RidgeEquations(ABC):
    """What ridge regressions on one training set have to solve; intercepts are not penalised.

    A regression is a column: one target, on inputs whose columns are scaled in one of several ways
    (mixtures).

    Parameters
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
    """

    def __init__(
        self,
        rows: Bools,
        inputs: Matrix,
        mean: Floats64,
        scales: Floats64,
        matrix: MixedMatrix,
    ) -> None:
        self.rows, self.inputs, self.mean = rows, inputs, mean
        self.scales, self.matrix = scales, matrix

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
    ) -> Matrix:
        """Solve one regression per column and penalty.

        Parameters
        ----------
        targets : array [n_rows, n_columns]
            Values outside the training set do not matter.
        mixture_of_column : array of int [n_columns]
        alphas : array [n_alphas, n_columns]
            Penalties in multiples of `units`, ascending.
        tolerance : float
            As in `models.ridge.solver.solve_penalised`.

        Returns
        -------
        array [n_alphas, size, n_columns]
            The unknowns.
        """
        known = targets[self.rows]
        right = self._right(known - known.mean(axis=0), mixture_of_column)
        penalties = self.units[mixture_of_column] * alphas
        return solve_penalised(self.matrix, mixture_of_column, right, penalties, tolerance)

    def squared_errors(
        self, solutions: Matrix, targets: Floats64, mixture_of_column: Numbers, rows: Bools
    ) -> Floats64:
        """Sum of squared errors of solutions on some rows [n_alphas, n_columns].

        Parameters
        ----------
        solutions : array [n_alphas, size, n_columns]
            From `solve`.
        targets : array [n_rows, n_columns]
        mixture_of_column : array of int [n_columns]
        rows : array of bool [n_rows]
        """
        residuals = self._predicted(solutions, mixture_of_column, rows)
        residuals += (targets[self.rows].mean(axis=0) - targets[rows])[:, None]
        squares: Floats64 = np.einsum("rac,rac->ac", residuals, residuals, dtype=np.float64)
        return squares

    def intercepts(self, coef: Floats64, targets: Floats64) -> Floats64:
        """Return intercepts [n_targets] for coefficients [n_columns, n_targets]."""
        intercepts: Floats64 = targets[self.rows].mean(axis=0) - self.mean @ coef
        return intercepts

    @abstractmethod
    def coefficients(self, solutions: Matrix, mixture_of_column: Numbers) -> Matrix:
        """Turn unknowns [size, n] into coefficients of the inputs [n_columns, n]."""

    @abstractmethod
    def _right(self, targets: Floats64, mixture_of_column: Numbers) -> Matrix:
        """Make right sides [size, n_columns] of centred targets [n_training_rows, n_columns]."""

    @abstractmethod
    def _predicted(self, solutions: Matrix, mixture_of_column: Numbers, rows: Bools) -> Matrix:
        """Predict rows, less the mean of the training targets [n, n_alphas, n_columns]."""


class ColumnEquations(RidgeEquations):
    """With a coefficient for every column as unknowns: ``X'X``.

    Parameters
    ----------
    rows, inputs, mean, scales
        As in `RidgeEquations`.
    gram : array [n_columns, n_columns]
        Of the training set, centred, without scales.
    """

    def __init__(
        self, rows: Bools, inputs: Matrix, mean: Floats64, scales: Floats64, gram: Matrix
    ) -> None:
        super().__init__(rows, inputs, mean, scales, MixedMatrix([gram], [scales]))

    def coefficients(self, solutions: Matrix, mixture_of_column: Numbers) -> Matrix:  # noqa: D102
        return self.scales[mixture_of_column].T.astype(solutions.dtype) * solutions

    def _right(self, targets: Floats64, mixture_of_column: Numbers) -> Matrix:
        right = np.zeros((self.matrix.size, targets.shape[1]), self.matrix.dtype)
        padded = np.zeros((len(self.rows), targets.shape[1]), self.matrix.dtype)
        padded[self.rows] = targets
        for start in range(0, len(padded), CHUNK_ROWS):
            chunk = slice(start, start + CHUNK_ROWS)
            right += self.inputs[chunk].T.astype(right.dtype, copy=False) @ padded[chunk]
        return self.scales[mixture_of_column].T * right

    def _predicted(self, solutions: Matrix, mixture_of_column: Numbers, rows: Bools) -> Matrix:
        coef = self.coefficients(solutions, mixture_of_column)
        predicted = np.tensordot(self.inputs[rows], coef, (1, 1))
        return predicted - np.tensordot(self.mean, coef, (0, 1))


class RowEquations(RidgeEquations):
    """With a weight for every training row as unknowns: ``XX'``, or any other kernel.

    Parameters
    ----------
    rows, inputs, mean, scales
        As in `RidgeEquations`.
    kernels : sequence of array [n_rows, n_rows]
        Of the bands of columns, not centred.
    shares : array [n_mixtures, n_kernels]
        Factors of the kernels.
    is_kernel : bool
        Whether `inputs` is the kernel itself: then weights of rows are its coefficients.
    """

    def __init__(
        self,
        rows: Bools,
        inputs: Matrix,
        mean: Floats64,
        scales: Floats64,
        kernels: Sequence[Matrix],
        shares: Floats64,
        is_kernel: bool,
    ) -> None:
        self.kernels, self.shares, self.is_kernel = kernels, shares, is_kernel
        parts = [_centred(kernel[np.ix_(rows, rows)]) for kernel in kernels]
        factors = [np.sqrt(share)[:, None] for share in shares.T]
        super().__init__(rows, inputs, mean, scales, MixedMatrix(parts, factors))

    def coefficients(self, solutions: Matrix, mixture_of_column: Numbers) -> Matrix:  # noqa: D102
        if self.is_kernel:
            weights = np.zeros((len(self.rows), solutions.shape[1]), solutions.dtype)
            weights[self.rows] = solutions
            return weights
        squares = np.square(self.scales[mixture_of_column].T).astype(solutions.dtype)
        return squares * (self.inputs[self.rows].T @ solutions)

    def _right(self, targets: Floats64, mixture_of_column: Numbers) -> Matrix:  # noqa: ARG002
        return targets

    def _predicted(self, solutions: Matrix, mixture_of_column: Numbers, rows: Bools) -> Matrix:
        total = np.zeros((int(rows.sum()), len(solutions), solutions.shape[2]), solutions.dtype)
        for kernel, share in zip(self.kernels, self.shares.T, strict=True):
            # Weights sum to 0, so centring leaves an offset alone.
            mean = kernel[np.ix_(self.rows, self.rows)].mean(axis=0)
            weights = share[mixture_of_column].astype(solutions.dtype) * solutions
            total += np.tensordot(kernel[np.ix_(rows, self.rows)] - mean, weights, (1, 1))
        return total


def _centred(kernel: Matrix) -> Matrix:
    """Centre a kernel [n, n] in feature space, in place."""
    mean = kernel.mean(axis=0)
    kernel -= mean
    kernel -= mean[:, None] - mean.mean()
    return kernel
