"""Heads on a Gaussian (RBF) kernel: one system of equations for every target, fold and penalty."""

import warnings
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Self

import numpy as np
from pydantic import Field
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from models.arrays import Floats32, Floats64, Ints
from models.folds import WHOLE
from models.heads.base import Head, PositiveFloats, Range
from models.heads.linear import ALPHAS
from models.kernel import KernelEquations, KernelRows, kernel_rows, landmark_features
from models.ridge.equations import FoldGram
from models.ridge.penalties import RidgeCandidates, choose
from models.view import CrossFit, FoldedView

FEWEST_LANDMARKS, MOST_LANDMARKS, ROWS_PER_LANDMARK = 128, 1024, 16
"""Landmarks make the equations of all rows easy to solve; they take memory."""
FEWEST_CHOOSING, MOST_CHOOSING, ROWS_PER_CHOOSING = 512, 2048, 4
"""Rows that penalties are chosen on: what is best hardly depends on how many rows there are. On two
draws of 1,000 faces of FER+ 500 rows chose as well as all: .3348 and .3523, .3357 and .3520."""
FEWEST_AXES, ROWS_PER_AXIS, MOST_PER_PRODUCT = 512, 10, 2.6e11
"""Axes of the view along which the kernel is taken: one for every 10 rows, 512 at least, but at
most so many multiplications, 2 s, for a product: 256 for 31,707 rows. On 10,000 faces of FER+
kernel ridge reached .4952 with 1,024, .4919 with 512, and .4951 with the exact kernel of all 1,908
columns; at 4,000 rows 1,024 took 5.3 times the view's memory, 512 3.9 times."""
FEWEST_STEPS, MOST_STEPS, ALL_STEPS = 8, 500, 2e9
"""Products that solutions may take; beyond the fewest, rows squared times steps stay below the
last: 20 for 10,000 rows, where FER+ scored .4946 with 20 and .4948 with 73, five times as slow."""
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
        heads, values = self._fit_at_once(view, [*view.folds, WHOLE])
        predicted = view.empty_predictions()
        for fold in view.folds:
            own = view.places(fold)
            predicted[own] = heads[fold]._in_units(values[fold][own])
        predicted[view.places(WHOLE)] = heads[WHOLE]._predict_scaled(view.held_inputs)
        return view.as_cross_fit(predicted, heads[WHOLE])

    def _fit_folds(self, view: FoldedView, folds: Sequence[int]) -> Iterator[Self]:
        for fold in folds:
            yield self._fit_at_once(view, [fold])[0][fold]

    def _fit_at_once(
        self, view: FoldedView, folds: Sequence[int]
    ) -> tuple[dict[int, Self], dict[int, Floats32]]:
        """Return heads fitted without each fold, and what they predict of all rows, standardised.

        Only the last one's weights are kept.
        """
        n_rows, n_columns = view.inputs.shape
        n_axes = n_axes_for(n_rows, n_columns)
        axes = view.projection(WHOLE, n_axes, self.seed) if n_axes < n_columns else None
        # The mean squared distance of two standardised rows is about 2 n_columns.
        rows = kernel_rows(view.inputs, 1 / (2 * n_columns * self.width), axes)
        n_landmarks = np.clip(n_rows // ROWS_PER_LANDMARK, FEWEST_LANDMARKS, MOST_LANDMARKS)
        features = landmark_features(rows, view.labelled, int(n_landmarks), self.seed)
        heads, targets = {fold: clone(self) for fold in folds}, {}
        for fold, head in heads.items():
            training = view.training_rows(fold)
            head._begin_fit(view.targets[training])
            targets[fold] = head._standardised(np.where(training[:, None], view.targets, np.nan))
        costs = self._penalties(rows, view, folds)
        penalties = [costs[fold][head.fitted_] for fold, head in heads.items()]
        everything = np.concatenate(list(targets.values()), axis=1)
        equations = KernelEquations(
            rows, features, ~np.isnan(everything), np.concatenate(penalties)
        )
        most_steps = int(np.clip(ALL_STEPS / n_rows**2, FEWEST_STEPS, MOST_STEPS))
        right = np.nan_to_num(everything).astype(np.float32)
        weights, values = self._solution(equations, right, most_steps)
        ends = np.cumsum([each.shape[1] for each in targets.values()])[:-1]
        own_weights = np.split(weights, ends, axis=1)[-1]
        used = (own_weights != 0).any(axis=1)
        head.rows_, head.weights_ = rows.only(used), own_weights[used]
        return heads, dict(zip(folds, np.split(values, ends, axis=1), strict=True))

    def _predict(self, inputs: Floats32) -> Floats64:
        predicted: Floats64 = self.rows_.times(inputs, self.weights_)
        return predicted

    @abstractmethod
    def _penalties(
        self, rows: KernelRows, view: FoldedView, folds: Sequence[int]
    ) -> dict[int, Floats64]:
        """Return the penalty of each target without each fold [n_targets].

        In units of the kernel of a row with itself.
        """

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

    def _penalties(
        self, rows: KernelRows, view: FoldedView, folds: Sequence[int]
    ) -> dict[int, Floats64]:
        penalties = {fold: np.ones(view.targets.shape[1]) for fold in folds}
        for fold_of_row, columns, without in view.searches(folds, self.seed):
            candidates = self._candidates(rows, fold_of_row, view.targets[:, columns])
            for fold, left_out in without.items():
                chosen = choose(candidates, left_out)
                penalties[fold][columns] = np.sort(self.alphas)[::-1][chosen]
        return penalties

    def _candidates(
        self, rows: KernelRows, fold_of_row: Ints, targets: Floats64
    ) -> RidgeCandidates:
        """Compare the penalties on some of the rows that are in a fold, with their whole kernel."""
        drawn = np.flatnonzero(fold_of_row >= 0)
        most = np.clip(len(drawn) // ROWS_PER_CHOOSING, FEWEST_CHOOSING, MOST_CHOOSING)
        if len(drawn) > most:
            generator = np.random.default_rng(self.seed)
            drawn = np.sort(generator.choice(drawn, int(most), replace=False))
        some = rows.only(drawn)
        features = landmark_features(some, np.ones(len(drawn), np.bool_), len(drawn), self.seed)
        gram = FoldGram(features, fold_of_row[drawn])
        unit = gram.equations(tuple(gram.folds[:1])).unit  # in which those count penalties
        penalties = np.asarray(self.alphas) + some.lost().mean()
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

    def _penalties(
        self,
        rows: KernelRows,  # noqa: ARG002
        view: FoldedView,
        folds: Sequence[int],
    ) -> dict[int, Floats64]:
        return dict.fromkeys(folds, np.full(view.targets.shape[1], 1 / self.cost))

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
    wanted = max(FEWEST_AXES, n_rows // ROWS_PER_AXIS)
    return min(n_columns, wanted, max(1, int(MOST_PER_PRODUCT / n_rows**2)))
