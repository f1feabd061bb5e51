"""Ridge regression on rows in folds, at many penalties and for several targets."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.gram import FoldGram, System
from models.heads.penalties import CHOOSING_TOLERANCE, FINAL_TOLERANCE
from models.shifted import solve_shifted

Matrix = NDArray[np.float64]


class FoldedRidge:
    """Ridge regressions of the same targets on all training sets of folds.

    Penalties are multiples of the mean eigenvalue of the centred Gram matrix in use; that is its
    trace / min(n_rows, n_columns), the same on both sides. Intercepts are not penalised.

    Parameters
    ----------
    gram : FoldGram
        Of the rows that are labelled.
    inputs : array of float32 [n_rows, n_columns]
        What `gram` was made of.
    targets : array [n_rows, n_targets]
        Without NaN where a row is in a fold.
    alphas : array [n_alphas]
    """

    def __init__(
        self, gram: FoldGram, inputs: NDArray[np.float32], targets: Matrix, alphas: Matrix
    ) -> None:
        self.gram = gram
        self.inputs = inputs
        self.targets = targets
        self.alphas = alphas

    @property
    def folds(self) -> Sequence[int]:
        """Numbers of the folds."""
        return self.gram.folds

    def errors(self, excluded: tuple[int, ...]) -> dict[int, Matrix]:
        """Squared errors on each excluded fold at every penalty [n_alphas, n_targets]."""
        system = self.gram.system(excluded)
        coef = self._coef(system, self.alphas, CHOOSING_TOLERANCE)
        return {fold: self._squares(system, coef, fold) for fold in excluded}

    def fit(self, fold: int, chosen: NDArray[np.intp]) -> tuple[NDArray[np.floating], Matrix]:
        """Fit without `fold` (`WHOLE`: on all), with the chosen penalty of each target [n_targets].

        Returns
        -------
        coef : array [n_columns, n_targets]
        intercept : array [n_targets]
        """
        system = self.gram.system((fold,))
        numbers, place = np.unique(chosen, return_inverse=True)
        coefs = self._coef(system, self.alphas[numbers], FINAL_TOLERANCE)
        coef = coefs[place, :, np.arange(len(chosen))].T
        return coef, self.targets[system.rows].mean(axis=0) - system.mean @ coef

    def _coef(self, system: System, alphas: Matrix, tolerance: float) -> NDArray[np.floating]:
        right = system.right_side(self.targets)
        return system.coef(solve_shifted(system.matrix, right, alphas * system.unit, tolerance))

    def _squares(self, system: System, coef: NDArray[np.floating], fold: int) -> Matrix:
        rows = self.gram.fold_of_row == fold
        n_alphas, n_columns, n_targets = coef.shape
        together = coef.transpose(1, 0, 2).reshape(n_columns, -1)
        predicted = self.inputs[rows] @ together - system.mean @ together
        expected = self.targets[rows] - self.targets[system.rows].mean(axis=0)
        residuals = predicted.reshape(-1, n_alphas, n_targets) - expected[:, None, :]
        squares: Matrix = np.square(residuals, dtype=np.float64).sum(axis=0)
        return squares
