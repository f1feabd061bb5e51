"""The one interface of all heads: from a view to all targets at once."""

from abc import ABC, abstractmethod
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from models.arrays import Bools, DataError, Floats, Groups, as_groups, as_targets, check_same_rows
from models.scaling import InputScaler


class Head(RegressorMixin, BaseEstimator, ABC):  # type: ignore[misc]
    """A scikit-learn regressor for several targets, some of them unlabelled in some rows.

    This class checks and scales: rows without any label are left out of the fit, inputs are
    imputed and standardised (`InputScaler`), each target is standardised over its labelled rows.
    A new head implements `_fit` and `_predict` on such arrays, and `_input_scaler` if it wants a
    projection. Parameters are stored in the constructor as given, so that `sklearn.base.clone`
    works; a head that draws random numbers has a parameter `seed`.
    """

    def fit(self, X: Floats, y: ArrayLike, groups: ArrayLike | None = None) -> Self:
        """Fit all targets.

        Parameters
        ----------
        X : array [n_rows, n_columns]
            The view; NaN where a modality is missing.
        y : array [n_rows, n_targets]
            Targets; NaN where unlabelled. Each target is fitted on its own labelled rows.
        groups : array [n_rows], optional
            The person of each row, for inner folds. Without it each row is its own group.

        Raises
        ------
        ValueError
            When lengths differ, or X or y is no matrix or holds infinities.
        DataError
            When a target has fewer than two labels.
        """
        X, targets = np.asarray(X), as_targets(y)
        people = as_groups(np.arange(len(targets)) if groups is None else groups)
        check_same_rows(X=X, y=targets, groups=people)
        _check_labels(targets)
        used = ~np.isnan(targets).all(axis=1)
        if not used.all():
            X, targets, people = X[used], targets[used], people[used]
        self.n_features_in_ = X.shape[1]
        self.target_mean_ = np.nanmean(targets, axis=0)
        spread = np.nanstd(targets, axis=0)
        self.target_scale_ = np.where(spread > 1e-12 * np.abs(self.target_mean_), spread, 1.0)
        self.input_scaler_ = self._input_scaler()
        inputs = self.input_scaler_.fit_transform(X)
        self._fit(inputs, (targets - self.target_mean_) / self.target_scale_, people)
        return self

    def predict(self, X: Floats) -> NDArray[np.float64]:
        """Predict every target of every row, in target units [n_rows, n_targets]."""
        check_is_fitted(self)
        standardised = self._predict(self.input_scaler_.transform(X))
        predicted: NDArray[np.float64] = standardised * self.target_scale_ + self.target_mean_
        return predicted

    def _input_scaler(self) -> InputScaler:
        return InputScaler()

    @abstractmethod
    def _fit(
        self, inputs: NDArray[np.float32], targets: NDArray[np.float64], groups: Groups
    ) -> None:
        """Fit on scaled inputs and standardised targets (NaN = unlabelled)."""

    @abstractmethod
    def _predict(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Predict standardised targets [n_rows, n_targets] from scaled inputs."""


def label_patterns(targets: NDArray[np.float64]) -> list[tuple[Bools, NDArray[np.intp]]]:
    """Group the targets that are labelled in the same rows.

    Parameters
    ----------
    targets : array [n_rows, n_targets]
        NaN where unlabelled.

    Returns
    -------
    list of (rows, columns)
        `rows` [n_rows] marks the labelled rows that the targets numbered `columns` share.
    """
    patterns, pattern_of_target = np.unique(~np.isnan(targets), axis=1, return_inverse=True)
    return [
        (rows, np.flatnonzero(pattern_of_target == number))
        for number, rows in enumerate(patterns.T)
    ]


def _check_labels(targets: NDArray[np.float64]) -> None:
    n_labelled = (~np.isnan(targets)).sum(axis=0)
    scarce = np.flatnonzero(n_labelled < 2)
    if len(scarce):
        raise DataError(
            f"target column {scarce[0]} has {n_labelled[scarce[0]]} labelled rows among "
            f"{len(targets)}; a head needs at least 2 per target. Leave that target out, or use "
            "fewer folds."
        )
