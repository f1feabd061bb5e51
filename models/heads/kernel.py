"""Heads on a Gaussian (RBF) kernel: one system of equations for every target, fold and penalty."""

import warnings
from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from models.arrays import Bools, Floats32, Floats64, Groups, Ints
from models.heads.base import Head, PositiveFloats, Range, label_patterns
from models.heads.linear import ALPHAS
from models.kernel import KernelEquations, KernelRows, kernel_rows, landmark_features
from models.projection import Projection, principal_axes
from models.ridge.equations import FoldGram
from models.ridge.penalties import (
    RidgeCandidates,
    can_nest,
    choose,
    choose_for_all_folds,
    inner_folds,
)
from models.view import WHOLE, CrossFit, FoldedView

FEWEST_LANDMARKS, MOST_LANDMARKS, ROWS_PER_LANDMARK = 256, 1024, 16
"""Landmarks make the equations of all rows easy to solve; they take memory."""
FEWEST_CHOOSING, MOST_CHOOSING, ROWS_PER_CHOOSING = 1024, 2048, 4
"""Rows that penalties are chosen on: what is best hardly depends on how many rows there are."""
MOST_AXES, MOST_PER_PRODUCT = 512, 2.6e11
"""Axes of the view along which the kernel is taken: at most so many, and so many multiplications,
2 s, for a product: 256 for 31,707 rows. On 10,000 faces of FER+ kernel ridge reached .483 with all
1,908 columns, .483 with 512 axes, .486 with 256 and .473 with 128."""
FEWEST_STEPS, MOST_STEPS, ALL_STEPS = 8, 500, 8e9
"""Products that solutions may take; beyond the fewest, rows squared times steps stay below the last
(80 for 10,000 rows). With 31,707 rows a product takes 4 s."""
TOLERANCE = 1e-3
"""Of solutions, relative to the right side; of support vectors' predictions, in standard deviations
of the target."""

Width = Annotated[float, Field(gt=0), Range(0.1, 10.0, log=True)]


@dataclass(eq=False, repr=False)
class KernelHead(Head):
    """A sum of kernels with the training rows; in a cross-fit, all folds are fitted at once.

    What the folds share uses no label: the axes and landmarks of `models.kernel`, from all rows.
    """

    width: Width = 0.5
    seed: int = 0

    def _cross_fit(self, view: FoldedView) -> CrossFit:
        """Fit all folds at once; equal to a fit per fold, but for rounding."""
        n_axes, axes = n_axes_for(*view.inputs.shape), None
        if n_axes < view.inputs.shape[1]:
            axes = view.projection(WHOLE, n_axes, self.seed)
        made, features = self._features(view.inputs, view.labelled, axes)
        heads = {fold: clone(self) for fold in [*view.folds, WHOLE]}
        targets = {}
        for fold, head in heads.items():
            rows = view.training_rows(fold)
            head._begin_fit(view.targets[rows])
            targets[fold] = head._standardised(np.where(rows[:, None], view.targets, np.nan))
        penalties = self._penalties_of_folds(made, view, targets)
        ends = np.cumsum([len(head.fitted_) for head in heads.values()])
        columns = dict(zip(heads, np.split(np.arange(ends[-1]), ends[:-1]), strict=True))
        weights, values = self._solve(
            made,
            features,
            np.concatenate(list(targets.values()), axis=1),
            np.concatenate([penalties[fold] for fold in heads]),
        )
        predicted = view.empty_predictions()
        for fold in view.folds:
            places = view.places(fold)
            predicted[places] = heads[fold]._in_units(values[places][:, columns[fold]])
        heads[WHOLE]._keep(made, weights[:, columns[WHOLE]])
        predicted[view.places(WHOLE)] = heads[WHOLE]._predict_scaled(view.held_inputs)
        return view.as_cross_fit(predicted, heads[WHOLE])

    def _fit(self, inputs: Floats32, targets: Floats64, groups: Groups) -> None:
        n_axes, axes = n_axes_for(*inputs.shape), None
        if n_axes < inputs.shape[1]:
            equations = FoldGram(inputs, np.zeros(len(inputs), np.int64)).equations()
            axes = principal_axes(equations, n_axes, self.seed)
        made, features = self._features(inputs, np.ones(len(inputs), np.bool_), axes)
        penalties = self._penalties(made, targets, groups)
        self._keep(made, self._solve(made, features, targets, penalties)[0])

    def _predict(self, inputs: Floats32) -> Floats64:
        return self.rows_.times(inputs, self.weights_)

    def _keep(self, made: KernelRows, weights: Floats32) -> None:
        used = (weights != 0).any(axis=1)
        self.rows_, self.weights_ = made.only(used), weights[used]

    def _features(
        self, inputs: Floats32, rows: Bools, axes: Projection | None
    ) -> tuple[KernelRows, Floats32]:
        # The mean squared distance of two standardised rows is about 2 n_columns.
        made = kernel_rows(inputs, 1 / (2 * inputs.shape[1] * self.width), axes)
        n_landmarks = np.clip(len(rows) // ROWS_PER_LANDMARK, FEWEST_LANDMARKS, MOST_LANDMARKS)
        return made, landmark_features(made, rows, int(n_landmarks), self.seed)

    def _solve(
        self, made: KernelRows, features: Floats32, targets: Floats64, penalties: Floats64
    ) -> tuple[Floats32, Floats32]:
        """Return weights of rows and predictions, of standardised targets (NaN: no training)."""
        training = ~np.isnan(targets)
        equations = KernelEquations(made, features, training, penalties)
        most_steps = int(np.clip(ALL_STEPS / len(targets) ** 2, FEWEST_STEPS, MOST_STEPS))
        right = np.nan_to_num(targets).astype(np.float32)
        return self._solution(equations, right, most_steps)

    def _penalties_of_folds(
        self, made: KernelRows, view: FoldedView, targets: dict[int, Floats64]
    ) -> dict[int, Floats64]:
        """Return the penalties of the targets that are fitted without each fold."""
        groups = view.inner_groups
        return {fold: self._penalties(made, y, groups) for fold, y in targets.items()}

    @abstractmethod
    def _penalties(self, made: KernelRows, targets: Floats64, groups: Groups) -> Floats64:
        """Return the penalty of each target, in units of the kernel of a row with itself."""

    @abstractmethod
    def _solution(
        self, equations: KernelEquations, right: Floats32, most_steps: int
    ) -> tuple[Floats32, Floats32]:
        """Return weights of rows and predictions for standardised targets, 0 where unlabelled."""


@dataclass(eq=False, repr=False)
class KernelRidgeHead(KernelHead):
    """Kernel ridge regression with one penalty per target, chosen on grouped folds.

    Parameters
    ----------
    bands : tuple of int
        As in `Head`.
    width : float
        Squared width of the kernel, in units of the mean squared distance of two rows.
    alphas : tuple of float
        Candidate penalties; the kernel of a row with itself is 1. They are compared on some of
        the rows, and the best one is then used with all.
    seed : int
        Of the landmarks and the inner folds.
    """

    alphas: PositiveFloats = ALPHAS

    def _solution(
        self, equations: KernelEquations, right: Floats32, most_steps: int
    ) -> tuple[Floats32, Floats32]:
        return equations.solve(right, TOLERANCE, most_steps)

    def _penalties_of_folds(
        self, made: KernelRows, view: FoldedView, targets: dict[int, Floats64]
    ) -> dict[int, Floats64]:
        if not can_nest(view):
            return super()._penalties_of_folds(made, view, targets)
        penalties = {fold: np.zeros(view.targets.shape[1]) for fold in targets}
        for rows, columns in label_patterns(view.targets):
            candidates = self._candidates(
                made, np.where(rows, view.fold_of_row, WHOLE), view.targets[:, columns]
            )
            for fold, chosen in choose_for_all_folds(candidates):
                penalties[fold][columns] = np.sort(self.alphas)[::-1][chosen]
        return penalties

    def _penalties(self, made: KernelRows, targets: Floats64, groups: Groups) -> Floats64:
        penalties = np.zeros(targets.shape[1])
        for rows, columns in label_patterns(targets):
            fold_of_row = np.full(len(rows), WHOLE, np.int64)
            fold_of_row[rows] = inner_folds(groups[rows], self.seed)
            chosen = choose(self._candidates(made, fold_of_row, targets[:, columns]))
            penalties[columns] = np.sort(self.alphas)[::-1][chosen]
        return penalties

    def _candidates(
        self, made: KernelRows, fold_of_row: Ints, targets: Floats64
    ) -> RidgeCandidates:
        """Compare the penalties on some of the rows that are in a fold, with their whole kernel."""
        drawn = np.flatnonzero(fold_of_row >= 0)
        most = np.clip(len(drawn) // ROWS_PER_CHOOSING, FEWEST_CHOOSING, MOST_CHOOSING)
        if len(drawn) > most:
            generator = np.random.default_rng(self.seed)
            drawn = np.sort(generator.choice(drawn, int(most), replace=False))
        rows = made.only(drawn)
        features = landmark_features(rows, np.ones(len(drawn), np.bool_), len(drawn), self.seed)
        gram = FoldGram(features, fold_of_row[drawn])
        unit = gram.equations(tuple(gram.folds[:1])).units[0]  # in which those count penalties
        penalties = np.asarray(self.alphas) + rows.lost().mean()
        return RidgeCandidates(gram, targets[drawn], penalties / unit)


@dataclass(eq=False, repr=False)
class SVRHead(KernelHead):
    """Support vector regression per target: errors count as far as they exceed a tolerance.

    The same as scikit-learn's `SVR`, by a method whose time is that of a few products with the
    kernel, so that it scales.

    Parameters
    ----------
    bands, width, seed
        As in `KernelRidgeHead`.
    cost : float
        Weight of errors (C), for targets of standard deviation 1.
    epsilon : float
        Errors up to this size, in standard deviations of the target, cost nothing.

    Notes
    -----
    By the alternating direction method of multipliers (Boyd et al., 2011): steps of ridge
    regressions of wished predictions, in turn with wishes for every row by itself.

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        When predictions still change by more than `TOLERANCE` after `MOST_STEPS` steps. With many
        rows fewer are taken, without a warning: 3,000 faces of FER+ scored .3983 after 9 steps and
        .3984 after 25.
    """

    cost: Annotated[float, Field(gt=0), Range(0.03, 30.0, log=True)] = 1.0
    epsilon: Annotated[float, Field(ge=0), Range(0.01, 1.0, log=True)] = 0.1

    def _penalties(self, made: KernelRows, targets: Floats64, groups: Groups) -> Floats64:  # noqa: ARG002
        return np.full(targets.shape[1], 1 / self.cost)

    def _solution(
        self, equations: KernelEquations, right: Floats32, most_steps: int
    ) -> tuple[Floats32, Floats32]:
        training, settled = equations.training, np.zeros(right.shape[1], np.bool_)
        weights, predicted = equations.solve(right, TOLERANCE, 1)
        wished, dual = predicted * training, np.clip(weights / self.cost, -1, 1)
        for _ in range(most_steps - 1):
            missing = (wished + dual - predicted) * training - weights / self.cost
            changed = equations.step(missing * ~settled, weights, predicted)
            errors = right - predicted + dual
            # The nearest errors that cost as little: inside the tolerance as they are.
            shrunk = np.sign(errors) * np.maximum(np.abs(errors) - 1, self.epsilon)
            wished = right - np.where(np.abs(errors) <= self.epsilon, errors, shrunk)
            off = (wished - predicted) * training
            dual = (dual + off) * training
            squares = np.maximum(np.square(changed), np.square(off)) * training
            settled |= squares.sum(axis=0) <= TOLERANCE**2 * training.sum(axis=0)
            if settled.all():
                return weights, predicted
        if most_steps == MOST_STEPS:
            warnings.warn(
                f"support vectors did not settle within {MOST_STEPS} steps: predictions may still "
                f"be more than {TOLERANCE:g} standard deviations off; a smaller `cost` settles "
                "sooner",
                ConvergenceWarning,
                stacklevel=2,
            )
        return weights, predicted


def n_axes_for(n_rows: int, n_columns: int) -> int:
    """Return along how many principal axes the kernel of a view is taken."""
    return min(n_columns, MOST_AXES, max(1, int(MOST_PER_PRODUCT / n_rows**2)))
