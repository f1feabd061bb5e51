"""Ridge regression for several targets; penalties chosen on grouped folds."""

from dataclasses import dataclass

import numpy as np
from sklearn.base import clone

from models.arrays import Floats32, Floats64, Groups, Numbers
from models.heads.base import Head, PositiveFloats, label_patterns
from models.ridge.equations import FoldGram
from models.ridge.penalties import (
    Fitted,
    RidgeCandidates,
    can_nest,
    choose,
    choose_for_all_folds,
    inner_folds,
)
from models.view import WHOLE, CrossFit, FoldedView

ALPHAS = tuple(10.0 ** (half / 2) for half in range(6, -5, -1))


@dataclass(eq=False, repr=False)
class RidgeHead(Head):
    """Multi-target ridge regression; the penalty of each target is chosen on grouped folds.

    In a cross-fit, Gram matrices are computed once for all folds.

    Parameters
    ----------
    bands : tuple of int
        As in `Head`.
    alphas : tuple of float
        Candidate penalties, as multiples of the mean eigenvalue of the Gram matrix of the
        standardised training rows (its trace / min(rows, columns)). So one grid, by default
        1e-2 ... 1e3 in half decades, means the same shrinkage for 1 column and for 16,000.
    seed : int
        Seed of the inner folds.

    Attributes
    ----------
    chosen_ : array of int [n_targets]
        Number of the candidate of each target.
    alpha_ : array [n_targets]
        The penalty of each target.
    """

    alphas: PositiveFloats = ALPHAS
    seed: int = 0

    @property
    def alpha_(self) -> Floats64:  # noqa: D102 (see the class)
        return np.sort(self.alphas)[::-1][self.chosen_]

    def _cross_fit(self, view: FoldedView) -> CrossFit:
        """Cross-fit from shared features; equal to a fit per fold, but for rounding."""
        if not can_nest(view):
            return super()._cross_fit(view)
        n_targets = view.targets.shape[1]
        predicted, whole = view.empty_predictions(), clone(self)
        whole._begin_fit(view.targets[view.labelled])
        whole._begin(view.inputs.shape[1], n_targets)
        # Coefficients are for targets as they are.
        whole.target_mean_, whole.target_scale_ = np.zeros(n_targets), np.ones(n_targets)
        for rows, columns in label_patterns(view.targets):
            fold_of_row = np.where(rows, view.fold_of_row, WHOLE)
            gram, targets = view.gram_of(fold_of_row >= 0), view.targets[:, columns]
            candidates = RidgeCandidates(gram, targets, self.alphas)
            for fold, chosen in choose_for_all_folds(candidates):
                coef, intercept = candidates.fit(fold, chosen)
                if fold == WHOLE:
                    whole._keep(columns, (coef, intercept), chosen)
                else:
                    places = view.places(fold)
                    predicted[np.ix_(places, columns)] = view.inputs[places] @ coef + intercept
        predicted[view.places(WHOLE)] = whole._predict_scaled(view.held_inputs)
        return view.as_cross_fit(predicted, whole)

    def _fit(self, inputs: Floats32, targets: Floats64, groups: Groups) -> None:
        self._begin(inputs.shape[1], targets.shape[1])
        for rows, columns in label_patterns(targets):
            fold_of_row = np.full(len(rows), WHOLE, np.int64)
            fold_of_row[rows] = inner_folds(groups[rows], self.seed)
            gram = FoldGram(inputs, fold_of_row)
            candidates = RidgeCandidates(gram, targets[:, columns], self.alphas)
            chosen = choose(candidates)
            self._keep(columns, candidates.fit(WHOLE, chosen), chosen)

    def _begin(self, n_columns: int, n_targets: int) -> None:
        self.chosen_ = np.zeros(n_targets, np.intp)
        self.coef_, self.intercept_ = np.zeros((n_columns, n_targets)), np.zeros(n_targets)

    def _keep(self, columns: Numbers, fitted: Fitted, chosen: Numbers) -> None:
        self.chosen_[columns] = chosen
        self.coef_[:, columns], self.intercept_[columns] = fitted

    def _predict(self, inputs: Floats32) -> Floats64:
        return inputs @ self.coef_ + self.intercept_
