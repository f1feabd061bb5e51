"""Ridge solutions from one symmetric eigendecomposition for all penalties and targets.

With centred inputs X = U S V' the ridge predictions at every penalty need only the eigenvectors of
X'X (primal, columns wide) or of XX' (dual, rows wide); the smaller side is taken. Folds come from
one Gram matrix: rows are cut out of the dual one, and subtracted from the primal one.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from models.arrays import Bools

Matrix = NDArray[np.float64]
Side = Literal["primal", "dual"]


class RidgeProblem:
    """Inputs and targets of one set of labelled rows, with the Gram matrix they share.

    Penalties are multiples of the mean eigenvalue of the centred Gram matrix in use; that is its
    trace / min(n_rows, n_columns), the same on both sides. Intercepts are not penalised.

    Parameters
    ----------
    inputs : array [n_rows, n_columns]
    targets : array [n_rows, n_targets]
        Without NaN.
    side : {"primal", "dual"}, optional
        Which Gram matrix to decompose; by default the smaller.
    """

    def __init__(
        self, inputs: NDArray[np.floating], targets: Matrix, side: Side | None = None
    ) -> None:
        # Products of thousands of float32 columns lose the small eigenvalues; sum in float64.
        self.inputs = inputs.astype(np.float64)
        self.targets = targets
        n_rows, n_columns = inputs.shape
        self.n_targets = targets.shape[1]
        self.side: Side = side or ("dual" if n_rows < n_columns else "primal")
        if self.side == "dual":
            self.gram = self.inputs @ self.inputs.T
        else:
            self.gram = self.inputs.T @ self.inputs

    def squared_errors(self, held: Bools, alphas: Matrix) -> Matrix:
        """Sum the squared errors on held rows of fits on the other rows, for every penalty.

        Parameters
        ----------
        held : array of bool [n_rows]
        alphas : array [n_alphas]

        Returns
        -------
        array [n_alphas, n_targets]
        """
        mean = self.targets[~held].mean(axis=0)
        residual = self.targets[held] - mean
        if self.side == "dual":
            spectrum, left = self._dual(held)
        else:
            spectrum, left = self._primal(held)
        rotated = left @ spectrum.vectors
        return np.stack(
            [
                np.square(residual - rotated @ spectrum.shrunk(np.array([alpha]))).sum(axis=0)
                for alpha in alphas
            ]
        )

    def solve(self, alphas: Matrix) -> tuple[Matrix, Matrix]:
        """Fit all rows with one penalty per target.

        Parameters
        ----------
        alphas : array [n_targets]

        Returns
        -------
        coef : array [n_columns, n_targets]
        intercept : array [n_targets]
        """
        held = np.zeros(len(self.inputs), dtype=np.bool_)
        mean = self.inputs.mean(axis=0)
        spectrum = (self._dual(held) if self.side == "dual" else self._primal(held))[0]
        coef = spectrum.vectors @ spectrum.shrunk(alphas)
        if self.side == "dual":
            coef = self.inputs.T @ coef - np.outer(mean, coef.sum(axis=0))
        return coef, self.targets.mean(axis=0) - mean @ coef

    def _dual(self, held: Bools) -> tuple["_Spectrum", Matrix]:
        """Spectrum of the centred kernel of the training rows, and the held rows' kernel."""
        train = ~held
        kernel, left = self.gram[np.ix_(train, train)], self.gram[np.ix_(held, train)]
        column_mean = kernel.mean(axis=0)
        left = left - left.mean(axis=1, keepdims=True) - column_mean + column_mean.mean()
        kernel = kernel - column_mean - column_mean[:, None] + column_mean.mean()
        targets = self.targets[train] - self.targets[train].mean(axis=0)
        return _decompose(kernel, targets, self._rank(train)), left

    def _primal(self, held: Bools) -> tuple["_Spectrum", Matrix]:
        """Spectrum of the centred Gram matrix of the training rows, and the held rows."""
        train, n_train = ~held, int((~held).sum())
        out = self.inputs[held]
        mean = (self.inputs.sum(axis=0) - out.sum(axis=0)) / n_train
        gram = self.gram - out.T @ out - n_train * np.outer(mean, mean)
        targets = self.targets[train] - self.targets[train].mean(axis=0)
        right = self.inputs[train].T @ targets
        return _decompose(gram, right, self._rank(train)), out - mean

    def _rank(self, train: Bools) -> int:
        return min(int(train.sum()), int(self.inputs.shape[1]))


@dataclass(frozen=True)
class _Spectrum:
    """Eigenvectors [k, k], eigenvalues [k], rotated targets [k, n_targets], unit of penalty."""

    vectors: Matrix
    values: Matrix
    rotated_targets: Matrix
    unit: float

    def shrunk(self, alphas: Matrix) -> Matrix:
        """Rotated coefficients at penalties [n_targets] (or [1] for all) [k, n_targets]."""
        shrinkage: Matrix = self.rotated_targets / (self.values[:, None] + alphas * self.unit)
        return shrinkage


def _decompose(gram: Matrix, right: Matrix, rank: int) -> _Spectrum:
    # The mean eigenvalue is 0 when every input is constant; any positive unit then gives coef 0.
    unit = float(np.trace(gram)) / rank or 1.0
    values, vectors = eigh(gram, driver="evd", overwrite_a=True, check_finite=False)
    return _Spectrum(vectors, np.maximum(values, 0.0), vectors.T @ right, unit)
