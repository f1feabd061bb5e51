"""One training set's ridge regressions, at any penalty, from its centred Gram matrix."""

from dataclasses import dataclass

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

from models.arrays import Bools
from models.device import fetch
from models.shifted import Array, solve_shifted

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class System:
    """The centred Gram matrix of one training set, and what it takes to regress with it.

    Attributes
    ----------
    matrix : array [size, size]
        X'X of the training rows (primal), or XX' of them (dual).
    rows : array of bool [n_rows]
        The training set.
    mean : array [n_columns]
        Column means of the training set.
    inputs : array [n_rows, n_columns]
    is_dual : bool
        Whether `matrix` is as wide as the training rows, not the columns.
    scale : array [n_columns], optional
        Factors of the columns, which a dual matrix already has in it and a primal one has not.
    """

    matrix: Array
    rows: Bools
    mean: Array
    inputs: Array
    is_dual: bool
    scale: Array | None = None

    @property
    def unit(self) -> float:
        """The mean eigenvalue of the Gram matrix over its possible rank: the unit of penalties.

        The same on both sides; 1 where every input is constant.
        """
        xp = array_namespace(self.matrix)
        diagonal = xp.linalg.diagonal(self.matrix)
        n_columns = self.inputs.shape[1]
        if self.scale is not None:
            n_columns = int(xp.count_nonzero(self.scale))
            if not self.is_dual:
                diagonal = diagonal * self.scale**2
        return float(xp.sum(diagonal)) / min(int(self.rows.sum()), n_columns) or 1.0

    def solve(self, targets: Matrix, alphas: Matrix, tolerance: float) -> Array:
        """Coefficients of ridge regressions with an unpenalised intercept.

        Parameters
        ----------
        targets : array [n_rows, n_targets]
            Values outside the training set do not matter.
        alphas : array [n_alphas]
            Penalties, in multiples of `unit`.
        tolerance : float
            As in `models.shifted.solve_shifted`.

        Returns
        -------
        array [n_alphas, n_columns, n_targets]
            On the device of the Gram matrix.
        """
        centred = np.zeros(targets.shape)
        centred[self.rows] = targets[self.rows] - targets[self.rows].mean(axis=0)
        shifts = alphas * self.unit
        if self.is_dual:
            right = self._like(centred[self.rows], self.matrix)
            solutions = solve_shifted(self.matrix, right, shifts, tolerance)
            coef = self.to_columns(solutions)
            return coef if self.scale is None else coef * self.scale[:, None] ** 2
        right = self.inputs.T @ self._like(centred, self.inputs)
        right = self._like(right, self.matrix)
        coef = solve_shifted(self.matrix, right, shifts, tolerance, self.scale)
        return coef if self.scale is None else coef * self.scale[:, None]

    def squared_errors(self, coef: Array, targets: Matrix, rows: Bools) -> Matrix:
        """Sum of squared errors on some rows [n_alphas, n_targets].

        Parameters
        ----------
        coef : array [n_alphas, n_columns, n_targets]
            From `solve`.
        targets : array [n_rows, n_targets]
        rows : array of bool [n_rows]
        """
        xp = array_namespace(coef)
        n_alphas, n_columns, n_targets = coef.shape
        together = xp.reshape(xp.permute_dims(coef, (1, 0, 2)), (n_columns, -1))
        part = self.inputs[xp.asarray(rows, device=coef.device)]
        predicted = fetch(xp.astype(part, coef.dtype) @ together)
        offset = targets[self.rows].mean(axis=0) - self._mean_times(together, n_targets)
        residuals = predicted.reshape(-1, n_alphas, n_targets) + offset - targets[rows][:, None]
        squares: Matrix = np.square(residuals, dtype=np.float64).sum(axis=0)
        return squares

    def intercept(self, coef: Matrix, targets: Matrix) -> Matrix:
        """Return intercepts [n_targets] beside coefficients [n_columns, n_targets]."""
        intercept: Matrix = targets[self.rows].mean(axis=0) - fetch(self.mean) @ coef
        return intercept

    def to_columns(self, solutions: Array) -> Array:
        """Combine the training rows [..., n_columns, n] by solutions of the dual [..., size, n]."""
        xp, device = array_namespace(self.inputs), self.inputs.device
        rows = self.inputs[xp.asarray(self.rows, device=device)]
        return xp.matmul(rows.T, self._like(solutions, rows))

    def _mean_times(self, together: Array, n_targets: int) -> Matrix:
        mean = self._like(self.mean, together)
        product: Matrix = fetch(mean @ together).reshape(-1, n_targets)
        return product

    @staticmethod
    def _like(values: Array, other: Array) -> Array:
        return array_namespace(other).asarray(values, dtype=other.dtype, device=other.device)
