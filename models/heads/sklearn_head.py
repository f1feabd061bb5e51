"""What heads made of scikit-learn's regressors share: gaps in targets, and a choice of settings."""

import warnings
from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import DataConversionWarning

from models.arrays import Groups
from models.heads.base import ProjectedHead, label_patterns
from models.ridge.penalties import inner_folds

Matrix = NDArray[np.float64]

LEAST_ROWS = 10
"""With fewer rows in an inner training set, a comparison of candidates would be a guess."""
VALUES_FOR_THREADS = 2**18
"""Below this many input values, starting threads costs more than they save."""


class SklearnHead(ProjectedHead):
    """A regressor of scikit-learn on projected inputs; of several, the best on inner folds.

    Targets labelled in the same rows are fitted together. Where a subclass has several candidates,
    each target takes the one with the least squared error on grouped folds inside the training set.
    Subclasses implement `_candidates`.
    """

    @abstractmethod
    def _candidates(self, n_rows: int, n_columns: int) -> list[Any]:
        """Return unfitted regressors for several targets, the most cautious first.

        That one is taken where there are too few rows to compare them. None may need more than
        `n_rows` rows.
        """

    def _fit(
        self, inputs: NDArray[np.float32], targets: NDArray[np.float64], groups: Groups
    ) -> None:
        self.n_targets_ = targets.shape[1]
        self.regressors_: list[tuple[NDArray[np.intp], NDArray[np.intp], Any]] = []
        for rows, columns in label_patterns(targets):
            x, y = inputs[rows], targets[np.ix_(rows, columns)]
            chosen = self._choose(x, y, groups[rows])
            for number in np.unique(chosen):
                regressor = _fitted(self._candidates(*x.shape)[number], x, y)
                places = np.flatnonzero(chosen == number)
                self.regressors_.append((columns[places], places, regressor))

    def _predict(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        predicted = np.empty((len(inputs), self.n_targets_))
        for columns, places, regressor in self.regressors_:
            predicted[:, columns] = _predictions(regressor, inputs)[:, places]
        return predicted

    def _choose(self, inputs: NDArray[np.float32], targets: Matrix, groups: Groups) -> Any:
        """Return the number of the candidate of each target [n_targets]."""
        n_candidates = len(self._candidates(*inputs.shape))
        errors = np.zeros((n_candidates, targets.shape[1]))
        fold_of_row = inner_folds(groups, self.seed)
        if n_candidates == 1 or len(inputs) - np.bincount(fold_of_row).max() < LEAST_ROWS:
            return np.zeros(targets.shape[1], dtype=np.intp)
        for fold in np.unique(fold_of_row):
            held = fold_of_row == fold
            x, y = inputs[~held], targets[~held]
            for number, regressor in enumerate(self._candidates(*x.shape)):
                with warnings.catch_warnings():
                    # One that does not converge, or has more factors than there is to explain,
                    # is told by its error.
                    warnings.simplefilter("ignore")
                    predicted = _predictions(_fitted(regressor, x, y), inputs[held])
                errors[number] += np.square(predicted - targets[held]).sum(axis=0)
        return np.argmin(errors, axis=0)


def n_jobs(inputs: NDArray[np.float32]) -> int:
    """Jobs for scikit-learn's `n_jobs`: every core, or one where there is little to do."""
    return -1 if inputs.size >= VALUES_FOR_THREADS else 1


def _fitted(regressor: Any, inputs: NDArray[np.float32], targets: Matrix) -> Any:
    with warnings.catch_warnings():
        # A single target stays a column, which some regressors accept under protest.
        warnings.simplefilter("ignore", DataConversionWarning)
        return regressor.fit(inputs, targets)


def _predictions(regressor: Any, inputs: NDArray[np.float32]) -> Matrix:
    """Predictions [n_rows, n_targets], also of regressors that drop the axis of a single target."""
    return np.asarray(regressor.predict(inputs), dtype=np.float64).reshape(len(inputs), -1)
