"""Members and targets inside their folds, and the sums of products per fold that weights need.

Everything is centred inside its fold: the models of the folds have means of their own. Leaving a
fold out is then leaving out its sums, and no fit ever goes back to the rows.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.arrays import Bools, Ints
from models.metrics import CONSTANT_TOLERANCE

Array = NDArray[np.float64]


class Sums(NamedTuple):
    """Sums of products over the labelled rows of some folds, centred inside each.

    Attributes
    ----------
    n_rows : array [n_targets]
        Labelled rows.
    gram : array [n_targets, n_members, n_members]
        Z-scored members with each other.
    cross : array [n_targets, n_members]
        Members with the target.
    size : array [n_targets]
        The target with itself.
    """

    n_rows: Array
    gram: Array
    cross: Array
    size: Array

    def variation(self, weights: Array) -> Array:
        """Sum squares of the members combined by `weights` [n_targets, n_members].

        The result is [n_targets]; 0 where only rounding varies.
        """
        squares = np.einsum("tm,tmn,tn->t", weights, self.gram, weights)
        rounding = 1e-12 * self.n_rows * np.square(np.abs(weights).sum(axis=1))
        return np.where(squares > rounding, squares, 0.0)


class FoldedMembers:
    """Z-scored members and centred targets in their folds.

    Parameters
    ----------
    members : array [n_rows, n_members, n_targets]
        Out-of-fold predictions; z-scored here, inside each fold.
    targets : array [n_rows, n_targets]
        NaN where unlabelled.
    fold_of_row : array of int [n_rows]

    Attributes
    ----------
    z_scores : array [n_rows, n_members, n_targets]
        0 where a member is constant in the fold.
    centred : array [n_rows, n_targets]
        Targets less the mean of their fold, 0 where unlabelled.
    labelled : array of bool [n_rows, n_targets]
    folds : list of array of bool [n_rows]
        The rows of each fold.
    """

    def __init__(self, members: Array, targets: Array, fold_of_row: Ints) -> None:
        self.folds: list[Bools] = [fold_of_row == fold for fold in np.unique(fold_of_row)]
        self.labelled: Bools = ~np.isnan(targets)
        self.z_scores = np.empty_like(members)
        for rows in self.folds:
            part = members[rows]
            self.z_scores[rows] = standardize(part, part.mean(axis=0), spread(part))
        self.centred = self.center(np.where(self.labelled, targets, 0.0))
        self._sums = [self._sums_of(rows) for rows in self.folds]

    def sums(self, without: int | None = None) -> Sums:
        """Return the sums over all folds, or all but the one of that number."""
        parts = [part for number, part in enumerate(self._sums) if number != without]
        return Sums(*(np.sum(values, axis=0) for values in zip(*parts, strict=True)))

    def combine(self, weights: Array, rows: Bools) -> Array:
        """Add up the members of some rows by weights [n_targets, n_members]."""
        return np.asarray(np.einsum("nmt,tm->nt", self.z_scores[rows], weights))

    def center(self, values: Array) -> Array:
        """Subtract the mean over the labelled rows of each fold; 0 where unlabelled or constant.

        `values` and the result are [n_rows, n_targets].
        """
        centred = np.zeros_like(values)
        for rows in self.folds:
            labelled = self.labelled[rows]
            known = np.where(labelled, values[rows], 0.0)
            n_rows = np.maximum(labelled.sum(axis=0), 1)
            deviation = np.where(labelled, known - known.sum(axis=0) / n_rows, 0.0)
            size = np.sqrt(np.square(deviation).sum(axis=0) / n_rows)
            constant = size <= CONSTANT_TOLERANCE * np.abs(known).max(axis=0, initial=0.0)
            centred[rows] = np.where(constant, 0.0, deviation)
        return centred

    def _sums_of(self, rows: Bools) -> Sums:
        labelled, centred = self.labelled[rows], self.centred[rows]
        n_rows = labelled.sum(axis=0).astype(np.float64)
        known = self.z_scores[rows] * labelled[:, None]
        inputs = (known - known.sum(axis=0) / np.maximum(n_rows, 1)) * labelled[:, None]
        by_target = inputs.transpose(2, 1, 0)
        gram = by_target @ by_target.transpose(0, 2, 1)
        cross = np.einsum("nmt,nt->tm", inputs, centred)
        return Sums(n_rows, gram, cross, np.square(centred).sum(axis=0))


def standardize(members: Array, center: Array, scale: Array) -> Array:
    """Return z-scores, 0 where the scale is 0."""
    deviation = members - center
    return np.divide(deviation, scale, out=np.zeros_like(deviation), where=scale > 0)


def spread(members: Array) -> Array:
    """Return the standard deviation over rows, 0 where only rounding varies."""
    size = members.std(axis=0)
    constant = size <= CONSTANT_TOLERANCE * np.abs(members).max(axis=0)
    return np.where(constant, 0.0, size)
