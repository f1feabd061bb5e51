"""Support vector regression on an RBF kernel."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from models.arrays import Ints
from models.heads.base import PositiveFloats
from models.heads.kernel import KernelHead
from models.heads.search import Range
from models.ridge.penalties import Fitted

Matrix = NDArray[np.float64]


@dataclass(eq=False, repr=False)
class SVRHead(KernelHead):
    """scikit-learn's `SVR` per target on one shared kernel; the penalty chosen on grouped folds.

    The time of a fit grows faster than the square of the rows. Beyond the memory limit (64 MiB are
    4,096 rows), a linear SVR on the features of landmarks takes its place.

    Parameters
    ----------
    width, memory_limit_mib, n_landmarks, seed
        As in `KernelHead`.
    costs : tuple of float
        Candidate weights of errors (C), for targets of standard deviation 1.
    epsilon : float
        Errors up to this size, in standard deviations of the target, cost nothing.
    """

    memory_limit_mib: Annotated[int, Field(ge=1)] = 64
    n_landmarks: Annotated[int, Field(ge=2)] = 1024
    costs: PositiveFloats = (0.1, 1.0, 10.0)
    epsilon: Annotated[float, Field(ge=0), Range(0.01, 1.0, log=True)] = 0.1

    def _family(
        self, features: NDArray[np.float32], is_kernel: bool, fold_of_row: Ints, targets: Matrix
    ) -> "SVRCandidates":
        costs = np.sort(self.costs)
        return SVRCandidates(features, is_kernel, fold_of_row, targets, costs, self.epsilon)


@dataclass(frozen=True)
class SVRCandidates:
    """Support vector regressions of the same targets on all training sets of folds.

    Attributes
    ----------
    features : array of float32 [n_rows, n_features]
        A kernel [n_rows, n_rows], or features for a linear regression.
    is_kernel : bool
        Which of the two.
    fold_of_row : array of int [n_rows]
    targets : array [n_rows, n_targets]
        Without NaN.
    costs : array [n_costs]
    epsilon : float
    """

    features: NDArray[np.float32]
    is_kernel: bool
    fold_of_row: Ints
    targets: Matrix
    costs: Matrix
    epsilon: float

    @property
    def folds(self) -> list[int]:
        """Numbers of the folds."""
        return [int(fold) for fold in np.unique(self.fold_of_row)]

    def errors(self, excluded: tuple[int, ...]) -> dict[int, Matrix]:
        """Squared errors on each excluded fold at every cost [n_costs, n_targets]."""
        n_targets = self.targets.shape[1]
        fits = [self._solve(excluded, np.full(n_targets, cost)) for cost in self.costs]
        errors = {}
        for fold in excluded:
            rows = self.fold_of_row == fold
            part, expected = self.features[rows], self.targets[rows]
            errors[fold] = np.stack(
                [np.square(part @ coef + offset - expected).sum(axis=0) for coef, offset in fits]
            )
        return errors

    def fit(self, fold: int, chosen: NDArray[np.intp]) -> Fitted:
        """Fit without `fold` (`WHOLE`: on all), with the chosen cost of each target."""
        return self._solve((fold,), self.costs[chosen])

    def _solve(self, excluded: tuple[int, ...], costs: Matrix) -> Fitted:
        train = np.flatnonzero(~np.isin(self.fold_of_row, excluded))
        part = self.features[train]
        if self.is_kernel:
            # libsvm computes in float64.
            part = part[:, train].astype(np.float64)
        coef = np.zeros((self.features.shape[1], len(costs)))
        intercept = np.empty(len(costs))
        for number, cost in enumerate(costs):
            target = self.targets[train, number]
            mean, scale = target.mean(), target.std() or 1.0
            fitted = self._estimator(float(cost)).fit(part, (target - mean) / scale)
            if self.is_kernel:
                coef[train[fitted.support_], number] = fitted.dual_coef_[0] * scale
            else:
                coef[:, number] = fitted.coef_ * scale
            intercept[number] = fitted.intercept_[0] * scale + mean
        return coef, intercept

    def _estimator(self, cost: float) -> Any:
        from sklearn.svm import SVR, LinearSVR

        if self.is_kernel:
            return SVR(kernel="precomputed", C=cost, epsilon=self.epsilon, cache_size=200)
        # The squared loss has a quick solver for many rows.
        return LinearSVR(
            C=cost, epsilon=self.epsilon, loss="squared_epsilon_insensitive", dual=False
        )
