"""A head over folds: out-of-fold predictions, and predictions of a refit on all rows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from models.arrays import Floats, Ints, as_groups, as_targets, check_same_rows
from models.folds import check_folds
from models.heads.base import Head


@dataclass(frozen=True)
class CrossFit:
    """Predictions of one head on one view.

    Attributes
    ----------
    oof : array of float64 [n_rows, n_targets]
        Each row predicted by the head fitted on the other folds.
    held : array of float64 [n_held, n_targets]
        Held-out rows predicted by the head fitted on all rows.
    fold_of_row : array of int64 [n_rows]
        The fold of each row.
    """

    oof: NDArray[np.float64]
    held: NDArray[np.float64]
    fold_of_row: Ints


def cross_fit(
    head: Head,
    x: Floats,
    y: ArrayLike,
    groups: ArrayLike,
    fold_of_row: Ints,
    x_held: Floats,
) -> CrossFit:
    """Predict every row by a head that has not seen its fold, and `x_held` by a refit on all rows.

    Parameters
    ----------
    head : Head
        Cloned for every fit; the given one stays as it is.
    x : array [n_rows, n_columns]
        The view; NaN where a modality is missing.
    y : array [n_rows, n_targets]
        Targets; NaN where unlabelled. Rows without any label are predicted, not fitted on.
    groups : array [n_rows]
        The person of each row.
    fold_of_row : array of int [n_rows]
        From `models.folds.assign_folds`.
    x_held : array [n_held, n_columns]
        Rows of no fold, as of Val and Test; may be empty.

    Raises
    ------
    ValueError
        When lengths differ, there are fewer than two folds, or a group lies in two folds.
    """
    targets, people = as_targets(y), as_groups(groups)
    check_same_rows(x=x, y=targets, groups=people, fold_of_row=fold_of_row)
    check_folds(people, fold_of_row)
    oof = np.empty_like(targets)
    for fold in np.unique(fold_of_row):
        out = fold_of_row == fold
        fitted = clone(head).fit(x[~out], targets[~out], people[~out])
        oof[out] = fitted.predict(x[out])
    held = np.empty((0, targets.shape[1]))
    if len(x_held):
        held = clone(head).fit(x, targets, people).predict(x_held)
    return CrossFit(oof, held, np.asarray(fold_of_row, dtype=np.int64))
