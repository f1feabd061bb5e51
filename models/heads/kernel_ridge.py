"""Ridge regression on an RBF kernel."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from models.arrays import Ints
from models.device import fetch, gpu, put
from models.gram import centred_part, make_gram
from models.heads.kernel import KernelHead
from models.heads.penalties import (
    CHOOSING_TOLERANCE,
    FINAL_TOLERANCE,
    Fitted,
    LinearCandidates,
)
from models.heads.ridge import ALPHAS, grid
from models.heads.ridge_solver import FoldedRidge
from models.heads.search import Range
from models.kernel import KernelFeatures
from models.shifted import solve_shifted

Matrix = NDArray[np.float64]


class KernelRidgeHead(KernelHead):
    """Kernel ridge regression with one penalty per target, chosen on grouped folds.

    Parameters
    ----------
    alphas : tuple of float
        Candidate penalties, as multiples of the mean eigenvalue of the centred kernel.
    width : float
        Squared width of the kernel, in units of the mean squared distance of two rows.
    memory_limit_mib : int
        Largest kernel in MiB (512: 11,585 rows). More rows are approximated by landmarks.
    n_landmarks : int
        Number of rows that stand for all, then.
    seed : int
        Seed of the landmarks and of the inner folds.
    """

    def __init__(
        self,
        alphas: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = ALPHAS,
        width: Annotated[float, Field(gt=0), Range(0.1, 10.0, log=True)] = 1.0,
        memory_limit_mib: Annotated[int, Field(ge=1)] = 512,
        n_landmarks: Annotated[int, Field(ge=2)] = 2048,
        seed: int = 0,
    ) -> None:
        self.alphas = alphas
        self.width = width
        self.memory_limit_mib = memory_limit_mib
        self.n_landmarks = n_landmarks
        self.seed = seed

    def _family(
        self,
        basis: KernelFeatures,
        features: NDArray[np.float32],
        fold_of_row: Ints,
        targets: Matrix,
    ) -> LinearCandidates:
        if basis.is_kernel:
            return FoldedKernelRidge(features, fold_of_row, targets, grid(self.alphas))
        gram = make_gram(features, fold_of_row)
        return FoldedRidge(gram, targets, grid(self.alphas))


class FoldedKernelRidge:
    """Kernel ridge regressions of the same targets on all training sets of folds.

    Penalties are multiples of the mean eigenvalue of the centred kernel of the training rows.

    Parameters
    ----------
    kernel : array of float32 [n_rows, n_rows]
    fold_of_row : array of int [n_rows]
    targets : array [n_rows, n_targets]
        Without NaN.
    alphas : array [n_alphas]
    """

    def __init__(
        self, kernel: NDArray[np.float32], fold_of_row: Ints, targets: Matrix, alphas: Matrix
    ) -> None:
        self.kernel = put(kernel, gpu())
        self.fold_of_row = fold_of_row
        self.folds = [int(fold) for fold in np.unique(fold_of_row)]
        self.targets = targets
        self.alphas = alphas

    def errors(self, excluded: tuple[int, ...]) -> dict[int, Matrix]:
        """Squared errors on each excluded fold at every penalty [n_alphas, n_targets]."""
        coef, intercept = self._solve(excluded, self.alphas, CHOOSING_TOLERANCE)
        together = put(np.ascontiguousarray(coef.transpose(1, 0, 2)), gpu())
        errors = {}
        for fold in excluded:
            rows = np.flatnonzero(self.fold_of_row == fold)
            predicted = fetch(self.kernel[rows] @ together.reshape(len(coef[0]), -1))
            predicted = predicted.reshape(len(rows), *intercept.shape) + intercept
            residuals = predicted - self.targets[rows][:, None, :]
            errors[fold] = np.square(residuals, dtype=np.float64).sum(axis=0)
        return errors

    def fit(self, fold: int, chosen: NDArray[np.intp]) -> Fitted:
        """Fit without `fold` (`WHOLE`: on all), with the chosen penalty of each target."""
        numbers, place = np.unique(chosen, return_inverse=True)
        coef, intercept = self._solve((fold,), self.alphas[numbers], FINAL_TOLERANCE)
        each = np.arange(len(chosen))
        return coef[place, :, each].T, intercept[place, each]

    def _solve(
        self, excluded: tuple[int, ...], alphas: Matrix, tolerance: float
    ) -> tuple[NDArray[np.float32], Matrix]:
        """Weights of the kernel with every row [n_alphas, n_rows, n_targets], and intercepts."""
        train = ~np.isin(self.fold_of_row, excluded)
        matrix = centred_part(self.kernel, train)
        mean = self.targets[train].mean(axis=0)
        right = put((self.targets[train] - mean).astype(np.float32), gpu())
        unit = float(matrix.trace()) / int(train.sum()) or 1.0
        solutions = fetch(solve_shifted(matrix, right, alphas[None] * unit, tolerance)[0])
        coef = np.zeros((len(alphas), *self.targets.shape), dtype=np.float32)
        coef[:, train] = solutions
        # Solutions sum to 0, so centring leaves an offset alone.
        column_mean = fetch(self.kernel[np.flatnonzero(train)].mean(0))
        return coef, mean - column_mean @ coef.astype(np.float64)
