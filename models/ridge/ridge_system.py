"""Ridge regressions on one training set, at any penalty, from its centred Gram matrices."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

from models.arrays import Bools
from models.device import fetch, like
from models.ridge.forms import Array, Forms, Matrix, MixedForms, ScaledForms
from models.ridge.shifted import solve_shifted


@dataclass(frozen=True)
class System(ABC):
    """The centred Gram matrices of one training set, and what it takes to regress with them.

    There are several where bands of columns are scaled in several ways, else one.

    Attributes
    ----------
    rows : array of bool [n_rows]
        The training set.
    inputs : array [n_rows, n_columns]
        All rows.
    mean : array [n_columns]
        Column means of the training set.
    scales : array [n_forms, n_columns], optional
        Factors of the columns.
    """

    rows: Bools
    inputs: Array
    mean: Array
    scales: Array | None

    @property
    @abstractmethod
    def forms(self) -> Forms:
        """X'X of the training rows (primal), or XX' of them (dual)."""

    @property
    def units(self) -> Matrix:
        """Mean eigenvalues of the Gram matrices over their possible rank [n_forms].

        The units of penalties: the same on both sides; 1 where every input is constant.
        """
        n_columns: int | NDArray[np.intp] = self.inputs.shape[1]
        if self.scales is not None:
            n_columns = np.count_nonzero(fetch(self.scales), axis=1)
        units = self.forms.traces() / np.minimum(int(self.rows.sum()), n_columns)
        return np.where(units > 0, units, 1.0)

    @abstractmethod
    def solve(self, targets: Matrix, alphas: Matrix, tolerance: float) -> Array:
        """Solve ridge regressions with an unpenalised intercept.

        Parameters
        ----------
        targets : array [n_rows, n_targets]
            Values outside the training set do not matter.
        alphas : array [n_alphas]
            Penalties, in multiples of `units`.
        tolerance : float
            As in `models.ridge.shifted.solve_shifted`.

        Returns
        -------
        array [n_forms, n_alphas, size, n_targets]
            What the other methods take: coefficients (primal), or weights of rows (dual).
        """

    @abstractmethod
    def coefficients(self, solutions: Array) -> Array:
        """Return coefficients [n_forms, n_alphas, n_columns, n_targets]."""

    def squared_errors(self, solutions: Array, targets: Matrix, rows: Bools) -> Matrix:
        """Sum of squared errors on some rows [n_forms, n_alphas, n_targets].

        Parameters
        ----------
        solutions : array [n_forms, n_alphas, size, n_targets]
            From `solve`.
        targets : array [n_rows, n_targets]
        rows : array of bool [n_rows]
        """
        n_forms, n_alphas, _, n_targets = solutions.shape
        residuals = fetch(self._predicted(solutions, rows)).reshape(int(rows.sum()), -1, n_targets)
        residuals += (targets[self.rows].mean(axis=0) - targets[rows])[:, None]
        squares: Matrix = np.einsum("nct,nct->ct", residuals, residuals, dtype=np.float64)
        return squares.reshape(n_forms, n_alphas, n_targets)

    def intercept(self, coef: Matrix, targets: Matrix) -> Matrix:
        """Return intercepts [n_targets] beside coefficients [n_columns, n_targets]."""
        intercept: Matrix = targets[self.rows].mean(axis=0) - fetch(self.mean) @ coef
        return intercept

    @abstractmethod
    def _predicted(self, solutions: Array, rows: Bools) -> Array:
        """Predict rows, less the mean of the training rows [n, n_forms * n_alphas * n_targets]."""

    def _centred(self, targets: Matrix) -> Matrix:
        centred = np.zeros(targets.shape)
        centred[self.rows] = targets[self.rows] - targets[self.rows].mean(axis=0)
        return centred


@dataclass(frozen=True)
class PrimalSystem(System):
    """From X'X.

    Attributes
    ----------
    matrix : array [n_columns, n_columns]
        X'X of the training rows, centred and without `scales`.
    """

    matrix: Array

    @property
    def forms(self) -> Forms:  # noqa: D102 (inherited)
        return ScaledForms(self.matrix, self.scales)

    def solve(  # noqa: D102 (inherited)
        self, targets: Matrix, alphas: Matrix, tolerance: float
    ) -> Array:
        right = self.inputs.T @ like(self._centred(targets), self.inputs)
        right = like(right, self.matrix)[None]
        scales = None if self.scales is None else self.scales[:, :, None]
        scaled = right if scales is None else scales * right
        solutions = solve_shifted(self.forms, scaled, self.units[:, None] * alphas, tolerance)
        return solutions if scales is None else scales[:, None] * solutions

    def coefficients(self, solutions: Array) -> Array:  # noqa: D102 (inherited)
        return solutions

    def _predicted(self, solutions: Array, rows: Bools) -> Array:
        together = _side_by_side(solutions)
        part = like(_taken(self.inputs, rows), together)
        return part @ together - like(self.mean, together) @ together


@dataclass(frozen=True)
class DualSystem(System):
    """From kernels: XX' of each band of columns.

    Attributes
    ----------
    kernels : list of array [n_rows, n_rows]
        Of all rows, not centred.
    parts : list of array [size, size]
        Those of the training rows, centred.
    weights : array [n_forms, n_kernels]
        Factors of the kernels.
    """

    kernels: list[Array]
    parts: list[Array]
    weights: Matrix

    @property
    def forms(self) -> Forms:  # noqa: D102 (inherited)
        return MixedForms(self.parts, self.weights)

    def solve(  # noqa: D102 (inherited)
        self, targets: Matrix, alphas: Matrix, tolerance: float
    ) -> Array:
        right = like(self._centred(targets)[self.rows], self.parts[0])
        right = array_namespace(right).stack([right] * len(self.weights))
        return solve_shifted(self.forms, right, self.units[:, None] * alphas, tolerance)

    def coefficients(self, solutions: Array) -> Array:  # noqa: D102 (inherited)
        xp = array_namespace(self.inputs)
        combined = _taken(self.inputs, self.rows).T @ like(_side_by_side(solutions), self.inputs)
        n_forms, n_alphas, _, n_targets = solutions.shape
        coef = xp.reshape(combined, (-1, n_forms, n_alphas, n_targets))
        coef = xp.permute_dims(coef, (1, 2, 0, 3))
        return coef if self.scales is None else coef * self.scales[:, None, :, None] ** 2

    def _predicted(self, solutions: Array, rows: Bools) -> Array:
        xp, total = array_namespace(solutions), 0
        for kernel, weight in zip(self.kernels, self.weights.T, strict=True):
            # Solutions sum to 0, so centring leaves an offset alone.
            part = _taken(kernel, rows) - _taken(kernel, self.rows).mean(0)
            part = part[:, xp.asarray(np.flatnonzero(self.rows), device=part.device)]
            weighted = like(weight, solutions)[:, None, None, None] * solutions
            total = total + part @ _side_by_side(weighted)
        return total


@dataclass(frozen=True)
class KernelSystem(DualSystem):
    """From a kernel of which no inputs are known: its columns are the inputs."""

    def coefficients(self, solutions: Array) -> Array:  # noqa: D102 (inherited)
        xp = array_namespace(solutions)
        n_forms, n_alphas, _, n_targets = solutions.shape
        shape = (n_forms, n_alphas, len(self.rows), n_targets)
        coef = xp.zeros(shape, dtype=solutions.dtype, device=solutions.device)
        coef[:, :, xp.asarray(np.flatnonzero(self.rows), device=solutions.device)] = solutions
        return coef


def _side_by_side(solutions: Array) -> Array:
    """Bring solutions [n_forms, n_alphas, size, n_targets] into the columns of one matrix."""
    xp = array_namespace(solutions)
    return xp.reshape(xp.permute_dims(solutions, (2, 0, 1, 3)), (solutions.shape[2], -1))


def _taken(array: Array, rows: Bools) -> Array:
    return array[array_namespace(array).asarray(rows, device=array.device)]
