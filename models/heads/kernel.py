"""Heads on a Gaussian (RBF) kernel: one set of features for every target, fold and penalty."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Self

import numpy as np
import scipy.linalg
from pydantic import Field
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from models.arrays import Bools, Floats, Floats32, Floats64, Groups, Ints
from models.heads.base import Head, Range, label_patterns
from models.heads.linear import RidgeHead
from models.kernel import KernelFeatures, kernel_features
from models.ridge.equations import FoldGram, RidgeEquations
from models.ridge.penalties import Fitted, RidgeCandidates
from models.view import WHOLE, FoldedView

FEWEST_LANDMARKS = 2048
"""However small the view."""
MOST_STEPS = 200
SVR_TOLERANCE = 1e-3
"""Of predictions, in standard deviations of the target."""

Width = Annotated[float, Field(gt=0), Range(0.1, 10.0, log=True)]
NLandmarks = Annotated[int, Field(ge=2)]


@dataclass(eq=False, repr=False)
class KernelRidgeHead(RidgeHead):
    """Kernel ridge regression with one penalty per target, chosen on grouped folds.

    In a cross-fit one set of features serves all folds; its landmarks are drawn from all labelled
    rows, and no label is used.

    Parameters
    ----------
    bands, seed, alphas
        As in `RidgeHead`; penalties are multiples of the mean eigenvalue of the centred kernel.
        The seed draws landmarks too.
    width : float
        Squared width of the kernel, in units of the mean squared distance of two rows.
    n_landmarks : int
        Up to so many rows the kernel is exact; of more rows, so many stand for all: fewer where
        that would take much more memory than the view, but 2,048. Time grows with their square.
    """

    width: Width = 0.5
    n_landmarks: NLandmarks = 3072

    def _candidates(
        self,
        inputs: Floats32,
        fold_of_row: Ints,
        targets: Floats64,
        view: FoldedView | None = None,  # noqa: ARG002
    ) -> tuple[KernelFeatures, RidgeCandidates]:
        made = _features(self, inputs, np.asarray(fold_of_row >= 0))
        gram = FoldGram(made.values, fold_of_row)
        return made, RidgeCandidates(gram, targets, self.alphas)


@dataclass(eq=False, repr=False)
class SVRHead(Head):
    """Support vector regression per target: errors count as far as they exceed a tolerance.

    The same as scikit-learn's `SVR`, but on features of a kernel, exact or of landmarks, by a
    method whose time is that of a few products with the features (`svr`), so that it scales.

    Parameters
    ----------
    bands, width, n_landmarks, seed
        As in `KernelRidgeHead`; the seed draws landmarks.
    cost : float
        Weight of errors (C), for targets of standard deviation 1.
    epsilon : float
        Errors up to this size, in standard deviations of the target, cost nothing.
    """

    cost: Annotated[float, Field(gt=0), Range(0.03, 30.0, log=True)] = 1.0
    epsilon: Annotated[float, Field(ge=0), Range(0.01, 1.0, log=True)] = 0.1
    width: Width = 0.5
    n_landmarks: NLandmarks = 3072
    seed: int = 0

    def _fit_folds(self, view: FoldedView, folds: Sequence[int]) -> Iterator[Self]:
        made = _features(self, view.inputs, view.labelled)
        grams: dict[bytes, FoldGram] = {}
        for fold in folds:
            head, rows = clone(self), view.training_rows(fold)
            if head._begin_fit(view.targets[rows]):
                targets = head._standardised(view.targets)
                head._solve(made, targets, view.fold_of_row, fold, grams)
            yield head

    def _fit(self, inputs: Floats32, targets: Floats64, groups: Groups) -> None:  # noqa: ARG002
        rows = np.ones(len(inputs), np.bool_)
        folds = np.zeros(len(inputs), np.int64)
        self._solve(_features(self, inputs, rows), targets, folds, WHOLE, {})

    def _solve(
        self,
        made: KernelFeatures,
        targets: Floats64,
        fold_of_row: Ints,
        fold: int,
        grams: dict[bytes, FoldGram],
    ) -> None:
        """Fit without a fold; `grams` by labelled rows are kept for the next."""
        weights = np.zeros((len(made.triangle), targets.shape[1]))
        self.intercept_ = np.zeros(targets.shape[1])
        for rows, columns in label_patterns(targets):
            key = rows.tobytes()
            if key not in grams:
                grams[key] = FoldGram(made.values, np.where(rows, fold_of_row, WHOLE))
            equations = grams[key].equations((fold,))
            coef, self.intercept_[columns] = svr(
                equations, targets[:, columns], self.cost, self.epsilon
            )
            weights[:, columns] = made.weights(coef)
        self.basis_, self.weights_ = made.basis, weights

    def _predict(self, inputs: Floats32) -> Floats64:
        return self.basis_.times(inputs, self.weights_) + self.intercept_


def svr(equations: RidgeEquations, targets: Floats64, cost: float, epsilon: float) -> Fitted:
    """Support vector regressions on the training set of some equations.

    Found by the alternating direction method of multipliers (Boyd et al., 2011): a ridge
    regression of wished predictions, whose matrix is always the same and decomposed once for all
    targets, in turn with wishes for every row by itself.

    Parameters
    ----------
    equations : RidgeEquations
    targets : array [n_rows, n_targets]
        Of the equations' rows; of standard deviation 1 or so. Others do not matter.
    cost, epsilon : float
        As in `SVRHead`.

    Returns
    -------
    coefficients of the inputs [n_columns, n_targets], intercepts [n_targets]

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        When predictions still change by more than `SVR_TOLERANCE` after `MOST_STEPS` steps.
    """
    matrix, inputs, rows = equations.matrix.dense(0), equations.inputs, equations.rows
    by_rows = bool(equations.kernels)
    matrix[np.diag_indices(len(matrix))] += 1 / cost
    factor = scipy.linalg.cho_factor(matrix, overwrite_a=True, check_finite=False)

    def regress(wished: Floats64) -> tuple[Floats, Floats64]:
        """Return unknowns, and what they predict for the training set."""
        mean = wished.mean(axis=0)
        centred = wished - mean
        if by_rows:
            unknowns = scipy.linalg.cho_solve(factor, centred, check_finite=False)
            return unknowns, wished - unknowns / cost
        right = np.zeros((len(rows), centred.shape[1]), inputs.dtype)
        right[rows] = centred
        unknowns = scipy.linalg.cho_solve(factor, inputs.T @ right, check_finite=False)
        predicted = (inputs @ unknowns.astype(inputs.dtype))[rows] - equations.mean @ unknowns
        return unknowns, predicted + mean

    y = targets[rows]
    wished, dual = y.copy(), np.zeros_like(y)
    before = np.full_like(y, np.inf)
    for _ in range(MOST_STEPS):
        unknowns, predicted = regress(wished + dual)
        if np.sqrt(np.square(predicted - before).mean(axis=0)).max() < SVR_TOLERANCE:
            break
        before = predicted
        errors = y - predicted + dual
        # The nearest errors that cost as little: inside the tolerance as they are.
        wished = y - np.where(
            np.abs(errors) <= epsilon,
            errors,
            np.sign(errors) * np.maximum(np.abs(errors) - 1, epsilon),
        )
        dual += wished - predicted
    else:
        warnings.warn(
            f"support vectors did not settle within {MOST_STEPS} steps: predictions may still be "
            f"more than {SVR_TOLERANCE:g} standard deviations off; a smaller `cost` settles sooner",
            ConvergenceWarning,
            stacklevel=2,
        )
    coef = equations.coefficients(unknowns, np.zeros(y.shape[1], np.intp)).astype(np.float64)
    return coef, predicted.mean(axis=0) - equations.mean @ coef


def n_landmarks_for(head: KernelRidgeHead | SVRHead, n_rows: int, n_columns: int) -> int:
    """Return how many rows of a view stand for all; all of them where the kernel is exact.

    Beyond `n_landmarks` rows features and Gram matrices are kept below twice the view's size.
    """
    if n_rows <= head.n_landmarks:
        return n_rows
    most = int(min(1.5 * n_columns, (n_rows * n_columns / 4) ** 0.5))
    return min(head.n_landmarks, max(FEWEST_LANDMARKS, most))


def _features(head: KernelRidgeHead | SVRHead, inputs: Floats32, rows: Bools) -> KernelFeatures:
    # The mean squared distance of two standardised rows is about 2 n_columns.
    gamma = 1 / (2 * inputs.shape[1] * head.width)
    n_landmarks = n_landmarks_for(head, *inputs.shape)
    return kernel_features(inputs, rows, gamma, n_landmarks, head.seed)
