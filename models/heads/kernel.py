"""Heads on an RBF kernel: one kernel matrix for every target, fold and penalty."""

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from models.arrays import Groups, Ints, take_rows
from models.heads.base import Head, label_patterns
from models.kernel import KernelFeatures, fit_features
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


class KernelHead(Head):
    """A regression that is linear in kernel features; its penalty is chosen on grouped folds.

    Subclasses say which regression. In a cross-fit, one kernel over all labelled rows serves all
    folds; landmarks, where the kernel is too large, are drawn from all of them: no label is used.
    """

    width: float
    memory_limit_mib: int
    n_landmarks: int
    seed: int

    def cross_fit(self, view: FoldedView) -> CrossFit:
        """Cross-fit from one kernel; equal to a fit per fold, but for rounding and landmarks."""
        if not can_nest(view):
            return super().cross_fit(view)
        predicted, whole = view.empty_predictions(), clone(self)
        whole.target_mean_, whole.target_scale_ = np.zeros((2, view.targets.shape[1]))
        whole.target_scale_ += 1  # coefficients are for targets as they are
        whole.fits_ = []
        for rows, columns in label_patterns(view.targets):
            basis = self._features(take_rows(view.inputs, rows))
            features = basis.transform(view.inputs)
            labelled = take_rows(features, rows)
            targets = view.targets[np.ix_(rows, columns)]
            family = self._family(basis, labelled, view.fold_of_row[rows], targets)
            for fold, chosen in choose_for_all_folds(family):
                coef, intercept = family.fit(fold, chosen)
                if fold == WHOLE:
                    whole.fits_.append((basis, columns, (coef, intercept)))
                else:
                    places = view.places(fold)
                    predicted[np.ix_(places, columns)] = features[places] @ coef + intercept
        if len(view.held_inputs):
            predicted[view.places(WHOLE)] = whole._predict_scaled(view.held_inputs)
        return view.as_cross_fit(predicted, whole)

    def _fit(self, inputs: NDArray[np.float32], targets: Matrix, groups: Groups) -> None:
        self.fits_: list[tuple[KernelFeatures, NDArray[np.intp], Fitted]] = []
        for rows, columns in label_patterns(targets):
            labelled = take_rows(inputs, rows)
            basis = self._features(labelled)
            features = basis.transform(labelled)
            folds = inner_folds(groups[rows], self.seed)
            family = self._family(basis, features, folds, targets[np.ix_(rows, columns)])
            self.fits_.append((basis, columns, family.fit(WHOLE, choose(family))))

    def _predict(self, inputs: NDArray[np.float32]) -> Matrix:
        predicted = np.empty((len(inputs), sum(len(columns) for _, columns, _ in self.fits_)))
        for basis, columns, (coef, intercept) in self.fits_:
            predicted[:, columns] = basis.transform(inputs) @ coef + intercept
        return predicted

    def _features(self, inputs: NDArray[np.float32]) -> KernelFeatures:
        return fit_features(inputs, self.width, self.memory_limit_mib, self.n_landmarks, self.seed)

    @abstractmethod
    def _family(
        self,
        basis: KernelFeatures,
        features: NDArray[np.float32],
        fold_of_row: Ints,
        targets: Matrix,
    ) -> LinearCandidates:
        """Regressions on features [n_rows, n_features] that are to be chosen from."""
