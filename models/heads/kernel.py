"""Heads on a Gaussian (RBF) kernel: one kernel matrix for every target, fold and candidate."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from models.arrays import Floats32, Floats64, Ints, Numbers, take_rows
from models.heads.base import PositiveFloats, Range
from models.heads.linear import ALPHAS, LinearHead
from models.ridge.equations import FoldGram
from models.ridge.penalties import Candidates, Fitted, RidgeCandidates
from models.view import FoldedView

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

    basis: Floats32
    gamma: float
    whitener: Floats32 | None

    def transform(self, inputs: Floats32) -> Floats32:
        """Return features [n_rows, n_features] of inputs [n_rows, n_columns]."""
        width = len(self.basis) if self.whitener is None else self.whitener.shape[1]
        features = np.empty((len(inputs), width), dtype=np.float32)
        for start in range(0, len(inputs), CHUNK_ROWS):
            kernel = rbf_kernel(inputs[start : start + CHUNK_ROWS], self.basis, self.gamma)
            if self.whitener is not None:
                kernel = kernel @ self.whitener
            features[start : start + CHUNK_ROWS] = kernel
        return features


@dataclass(eq=False, repr=False)
class KernelHead(LinearHead):
    """A regression that is linear in features of a kernel; subclasses say which.

    In a cross-fit, one kernel over all labelled rows serves all folds; landmarks, where the kernel
    is too large, are drawn from all of them: no label is used.

    Parameters
    ----------
    width : float
        Squared width of the kernel, in units of the mean squared distance of two rows.
    memory_limit_mib : int
        Largest kernel in MiB (512: 11,585 rows). More rows are approximated by landmarks.
    n_landmarks : int
        Number of rows that stand for all, then.
    seed : int
        Seed of the landmarks and of the inner folds.
    """

    width: Annotated[float, Field(gt=0), Range(0.1, 10.0, log=True)] = 1.0
    memory_limit_mib: Annotated[int, Field(ge=1)] = 512
    n_landmarks: Annotated[int, Field(ge=2)] = 2048
    seed: int = 0

    @abstractmethod
    def _family(
        self, features: Floats32, is_kernel: bool, fold_of_row: Ints, targets: Floats64
    ) -> Candidates:
        """Regressions on the kernel [n_rows, n_rows], or features for it; targets have no gaps."""

    def _candidates(
        self,
        inputs: Floats32,
        fold_of_row: Ints,
        targets: Floats64,
        view: FoldedView | None = None,  # noqa: ARG002
    ) -> tuple[KernelFeatures, Floats32, Candidates]:
        rows = np.asarray(fold_of_row >= 0)
        basis = self._basis(take_rows(inputs, rows))
        features = basis.transform(inputs)
        is_kernel, part = basis.whitener is None, take_rows(features, rows)
        return basis, features, self._family(part, is_kernel, fold_of_row[rows], targets[rows])

    def _basis(self, inputs: Floats32) -> KernelFeatures:
        """Take all rows as basis, or landmarks where the kernel would not fit the memory."""
        # The mean squared distance of two standardised rows is about 2 n_columns.
        gamma = 1 / (2 * inputs.shape[1] * self.width)
        if 4 * len(inputs) ** 2 <= self.memory_limit_mib * 2**20:
            return KernelFeatures(inputs, gamma, None)
        n_drawn = min(self.n_landmarks, len(inputs))
        drawn = np.random.default_rng(self.seed).choice(len(inputs), n_drawn, replace=False)
        landmarks = inputs[np.sort(drawn)]
        kernel = rbf_kernel(landmarks, landmarks, gamma).astype(np.float64)
        values, vectors = np.linalg.eigh(kernel)
        # Below float32 resolution, directions are rounding.
        kept = values > values[-1] * np.finfo(np.float32).eps * len(values)
        whitener = vectors[:, kept] / np.sqrt(values[kept])
        return KernelFeatures(landmarks, gamma, whitener.astype(np.float32))


@dataclass(eq=False, repr=False)
class KernelRidgeHead(KernelHead):
    """Kernel ridge regression with one penalty per target, chosen on grouped folds.

    Parameters
    ----------
    width, memory_limit_mib, n_landmarks, seed
        As in `KernelHead`.
    alphas : tuple of float
        Candidate penalties, as multiples of the mean eigenvalue of the centred kernel.
    """

    alphas: PositiveFloats = ALPHAS

    def _family(
        self, features: Floats32, is_kernel: bool, fold_of_row: Ints, targets: Floats64
    ) -> RidgeCandidates:
        return RidgeCandidates(FoldGram(features, fold_of_row, is_kernel), targets, self.alphas)


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
        self, features: Floats32, is_kernel: bool, fold_of_row: Ints, targets: Floats64
    ) -> "SVRCandidates":
        costs = np.sort(self.costs)
        return SVRCandidates(features, is_kernel, fold_of_row, targets, costs, self.epsilon)


class SVRCandidates:
    """Support vector regressions of the same targets on all training sets of folds (`Candidates`).

    On a kernel [n_rows, n_rows], or, where `is_kernel` is False, linear ones on features.
    """

    def __init__(
        self,
        features: Floats32,
        is_kernel: bool,
        fold_of_row: Ints,
        targets: Floats64,
        costs: Floats64,
        epsilon: float,
    ) -> None:
        self.folds = [int(fold) for fold in np.unique(fold_of_row)]
        self._features, self._is_kernel, self._fold_of_row = features, is_kernel, fold_of_row
        self._targets, self._costs, self._epsilon = targets, costs, epsilon

    def errors(self, excluded: tuple[int, ...]) -> dict[int, Floats64]:
        """Fit without the excluded folds; squared errors on each [n_costs, n_targets]."""
        n_targets = self._targets.shape[1]
        fits = [self._solve(excluded, np.full(n_targets, cost)) for cost in self._costs]
        errors = {}
        for fold in excluded:
            rows = self._fold_of_row == fold
            part, expected = self._features[rows], self._targets[rows]
            errors[fold] = np.stack(
                [np.square(part @ coef + offset - expected).sum(axis=0) for coef, offset in fits]
            )
        return errors

    def fit(self, fold: int, chosen: Numbers) -> Fitted:
        """Fit without `fold` (`WHOLE`: on all), with the chosen cost of each target."""
        return self._solve((fold,), self._costs[chosen])

    def _solve(self, excluded: tuple[int, ...], costs: Floats64) -> Fitted:
        from sklearn.svm import SVR, LinearSVR

        train = np.flatnonzero(~np.isin(self._fold_of_row, excluded))
        part = self._features[train]
        if self._is_kernel:
            # libsvm computes in float64.
            part = part[:, train].astype(np.float64)
        coef, intercept = np.zeros((self._features.shape[1], len(costs))), np.empty(len(costs))
        for number, cost in enumerate(costs):
            target = self._targets[train, number]
            mean, scale = target.mean(), target.std() or 1.0
            shared = {"C": float(cost), "epsilon": self._epsilon}
            if self._is_kernel:
                fitted = SVR(kernel="precomputed", cache_size=200, **shared)
                fitted.fit(part, (target - mean) / scale)
                coef[train[fitted.support_], number] = fitted.dual_coef_[0] * scale
            else:  # the squared loss has a quick solver for many rows
                fitted = LinearSVR(loss="squared_epsilon_insensitive", dual=False, **shared)
                coef[:, number] = fitted.fit(part, (target - mean) / scale).coef_ * scale
            intercept[number] = fitted.intercept_[0] * scale + mean
        return coef, intercept


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
