"""Heads that are linear in features of the inputs, and choose among candidates on grouped folds."""

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from models.arrays import Groups, Ints
from models.heads.base import Head, label_patterns
from models.kernel import KernelFeatures
from models.ridge.penalties import (
    Fitted,
    LinearCandidates,
    can_nest,
    choose,
    choose_for_all_folds,
    inner_folds,
)
from models.view import WHOLE, CrossFit, FoldedView

Matrix = NDArray[np.float64]


class LinearHead(Head):
    """A regression with coefficients for features: the inputs themselves, or those of a kernel.

    Every target takes the candidate that predicts best on grouped folds. In a cross-fit, features
    and their Gram matrices are computed once for all folds.

    Attributes
    ----------
    chosen_ : array of int [n_targets]
        Number of the candidate of each target.
    """

    seed: int

    @abstractmethod
    def _candidates(
        self,
        inputs: NDArray[np.float32],
        fold_of_row: Ints,
        targets: Matrix,
        view: FoldedView | None = None,
    ) -> tuple[KernelFeatures | None, NDArray[np.float32], LinearCandidates]:
        """Make features, and the regressions on them to choose from.

        Parameters
        ----------
        inputs : array [n_rows, n_columns]
            Scaled.
        fold_of_row : array of int [n_rows]
            Negative for rows that are not to be fitted on.
        targets : array [n_rows, n_targets]
            Without NaN where a row is in a fold.
        view : FoldedView, optional
            Where inputs and folds come from, if from one.

        Returns
        -------
        basis : KernelFeatures, optional
            Makes features of other inputs; None where the inputs are the features.
        features : array [n_rows, n_features]
        candidates : LinearCandidates
        """

    def cross_fit(self, view: FoldedView) -> CrossFit:
        """Cross-fit from shared features; equal to a fit per fold, but for rounding."""
        if not can_nest(view):
            return super().cross_fit(view)
        n_targets = view.targets.shape[1]
        predicted, whole = view.empty_predictions(), clone(self)
        whole._begin(n_targets)
        # Coefficients are for targets as they are.
        whole.target_mean_, whole.target_scale_ = np.zeros(n_targets), np.ones(n_targets)
        for rows, columns in label_patterns(view.targets):
            fold_of_row = np.where(rows, view.fold_of_row, WHOLE)
            basis, features, candidates = self._candidates(
                view.inputs, fold_of_row, view.targets[:, columns], view
            )
            for fold, chosen in choose_for_all_folds(candidates):
                coef, intercept = candidates.fit(fold, chosen)
                if fold == WHOLE:
                    whole._keep(basis, columns, (coef, intercept), chosen)
                else:
                    places = view.places(fold)
                    predicted[np.ix_(places, columns)] = features[places] @ coef + intercept
        predicted[view.places(WHOLE)] = whole._predict_scaled(view.held_inputs)
        return view.as_cross_fit(predicted, whole)

    def _fit(self, inputs: NDArray[np.float32], targets: Matrix, groups: Groups) -> None:
        self._begin(targets.shape[1])
        for rows, columns in label_patterns(targets):
            fold_of_row = np.full(len(rows), WHOLE, np.int64)
            fold_of_row[rows] = inner_folds(groups[rows], self.seed)
            basis, _, candidates = self._candidates(inputs, fold_of_row, targets[:, columns])
            chosen = choose(candidates)
            self._keep(basis, columns, candidates.fit(WHOLE, chosen), chosen)

    def _begin(self, n_targets: int) -> None:
        self.chosen_ = np.zeros(n_targets, np.intp)
        self.fits_: list[tuple[KernelFeatures | None, NDArray[np.intp], Fitted]] = []

    def _keep(
        self,
        basis: KernelFeatures | None,
        columns: NDArray[np.intp],
        fitted: Fitted,
        chosen: NDArray[np.intp],
    ) -> None:
        """Keep what was chosen and fitted for the targets numbered `columns`."""
        self.chosen_[columns] = chosen
        self.fits_.append((basis, columns, fitted))

    def _predict(self, inputs: NDArray[np.float32]) -> Matrix:
        predicted = np.empty((len(inputs), len(self.chosen_)))
        for basis, columns, (coef, intercept) in self.fits_:
            features = inputs if basis is None else basis.transform(inputs)
            predicted[:, columns] = features @ coef + intercept
        return predicted
