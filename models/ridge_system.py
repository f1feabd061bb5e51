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
    scales : array [n_scales, n_columns], optional
        Factors of the columns: a regression each. A dual matrix, which has one only, already
        contains it; a primal one does not.
    """

    matrix: Array
    rows: Bools
    mean: Array
    inputs: Array
    is_dual: bool
    scales: Array | None = None

    @property
    def units(self) -> Matrix:
        """Mean eigenvalues of the scaled Gram matrices over their possible rank [n_scales].

        The units of penalties: the same on both sides; 1 where every input is constant.
        """
        xp = array_namespace(self.matrix)
        diagonal = xp.linalg.diagonal(self.matrix)
        n_rows, n_columns = int(self.rows.sum()), np.array([self.inputs.shape[1]])
        traces = fetch(diagonal).sum(dtype=np.float64)[None]
        if self.scales is not None:
            n_columns = np.count_nonzero(fetch(self.scales), axis=1)
            if not self.is_dual:
                traces = np.square(fetch(self.scales), dtype=np.float64) @ fetch(diagonal)
        units: Matrix = traces / np.minimum(n_rows, n_columns)
        return np.where(units > 0, units, 1.0)

    def solve(self, targets: Matrix, alphas: Matrix, tolerance: float) -> Array:
        """Coefficients of ridge regressions with an unpenalised intercept.

        Parameters
        ----------
        targets : array [n_rows, n_targets]
            Values outside the training set do not matter.
        alphas : array [n_alphas]
            Penalties, in multiples of `units`.
        tolerance : float
            As in `models.shifted.solve_shifted`.

        Returns
        -------
        array [n_scales, n_alphas, n_columns, n_targets]
            On the device of the Gram matrix; a single scale where there are none.
        """
        centred = np.zeros(targets.shape)
        centred[self.rows] = targets[self.rows] - targets[self.rows].mean(axis=0)
        shifts = self.units[:, None] * alphas
        if self.is_dual:
            right = self._like(centred[self.rows], self.matrix)
            coef = self.to_columns(solve_shifted(self.matrix, right, shifts, tolerance))
            return coef if self.scales is None else coef * self.scales[:, None, :, None] ** 2
        right = self.inputs.T @ self._like(centred, self.inputs)
        right = self._like(right, self.matrix)
        coef = solve_shifted(self.matrix, right, shifts, tolerance, self.scales)
        return coef if self.scales is None else coef * self.scales[:, None, :, None]

    def squared_errors(self, coef: Array, targets: Matrix, rows: Bools) -> Matrix:
        """Sum of squared errors on some rows [n_scales, n_alphas, n_targets].

        Parameters
        ----------
        coef : array [n_scales, n_alphas, n_columns, n_targets]
            From `solve`.
        targets : array [n_rows, n_targets]
        rows : array of bool [n_rows]
        """
        xp = array_namespace(coef)
        n_scales, n_alphas, n_columns, n_targets = coef.shape
        together = xp.reshape(xp.permute_dims(coef, (2, 0, 1, 3)), (n_columns, -1))
        part = self._like(self.inputs[xp.asarray(rows, device=coef.device)], coef)
        predicted = fetch(part @ together) - fetch(self._like(self.mean, coef) @ together)
        residuals = predicted.reshape(int(rows.sum()), -1, n_targets)
        residuals += (targets[self.rows].mean(axis=0) - targets[rows])[:, None]
        squares: Matrix = np.einsum("nct,nct->ct", residuals, residuals, dtype=np.float64)
        return squares.reshape(n_scales, n_alphas, n_targets)

    def intercept(self, coef: Matrix, targets: Matrix) -> Matrix:
        """Return intercepts [n_targets] beside coefficients [n_columns, n_targets]."""
        intercept: Matrix = targets[self.rows].mean(axis=0) - fetch(self.mean) @ coef
        return intercept

    def to_columns(self, solutions: Array) -> Array:
        """Combine the training rows [..., n_columns, n] by solutions of the dual [..., size, n]."""
        xp, device = array_namespace(self.inputs), self.inputs.device
        rows = self.inputs[xp.asarray(self.rows, device=device)]
        side_by_side = xp.moveaxis(self._like(solutions, rows), -2, 0)
        combined = rows.T @ xp.reshape(side_by_side, (side_by_side.shape[0], -1))
        return xp.moveaxis(xp.reshape(combined, (-1, *side_by_side.shape[1:])), 0, -2)

    @staticmethod
    def _like(values: Array, other: Array) -> Array:
        return array_namespace(other).asarray(values, dtype=other.dtype, device=other.device)
