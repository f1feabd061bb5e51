"""Members and targets in folds, and the sums of products per fold that every method works on.

Everything is centred inside its fold: the models of the folds have means of their own. Leaving a
fold out is then leaving out its sums, and no fit ever goes back to the rows.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.arrays import Bools, Ints
from models.metrics import CONSTANT_TOLERANCE

Array = NDArray[np.float64]
Folds = tuple[int, ...]
"""Numbers of folds, from 0, in rising order."""


@dataclass(frozen=True)
class Sums:
    """Sums of products over the labelled rows of some folds, centred inside each.

    Inputs are the z-scored predictions of all members for all targets; input
    ``member * n_targets + target``.

    Attributes
    ----------
    n_rows : array [n_targets]
        Labelled rows.
    gram : array [n_patterns, n_inputs, n_inputs]
        Inputs with inputs; targets labelled on the same rows share one.
    pattern : array of int [n_targets]
        Which of them is a target's.
    cross : array [n_targets, n_inputs]
        Target with inputs.
    size : array [n_targets]
        Target with itself.
    """

    n_rows: Array
    gram: Array
    pattern: Ints
    cross: Array
    size: Array

    @property
    def own(self) -> Ints:
        """Inputs that predict the target itself [n_targets, n_members]."""
        n_targets, n_inputs = self.cross.shape
        return np.arange(n_inputs).reshape(-1, n_targets).T

    def own_sums(self) -> tuple[Array, Array]:
        """Return gram [n_targets, n_members, n_members] and cross of the own inputs."""
        own = self.own
        gram = self.gram[self.pattern[:, None, None], own[:, :, None], own[:, None, :]]
        return gram, np.take_along_axis(self.cross, own, axis=1)

    def products(self, weights: Array) -> tuple[Array, Array]:
        """Sum products of weighted inputs with the target, and with themselves.

        Parameters
        ----------
        weights : array [..., n_targets, n_inputs]

        Returns
        -------
        two arrays [..., n_targets]
            The second is 0 where only rounding varies.
        """
        with_target = np.einsum("...tk,tk->...t", weights, self.cross)
        with_self = np.empty_like(with_target)
        for number, pattern in enumerate(self.pattern):
            of_target = weights[..., number, :]
            with_self[..., number] = np.sum(of_target @ self.gram[pattern] * of_target, axis=-1)
        rounding = 1e-12 * self.n_rows * np.square(np.abs(weights).sum(axis=-1))
        return with_target, np.where(with_self > rounding, with_self, 0.0)


class Folded:
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
    inputs : array [n_rows, n_members * n_targets]
        Z-scores; 0 where a member is constant in the fold.
    centred : array [n_rows, n_targets]
        Targets less the mean of their fold, 0 where unlabelled.
    labelled : array of bool [n_rows, n_targets]
    folds : tuple of int
        All folds: 0, 1, ...
    """

    def __init__(self, members: Array, targets: Array, fold_of_row: Ints) -> None:
        names, self._fold = np.unique(fold_of_row, return_inverse=True)
        self.folds: Folds = tuple(range(len(names)))
        self.labelled: Bools = ~np.isnan(targets)
        z_scores = np.empty_like(members)
        for fold in self.folds:
            rows = members[self._fold == fold]
            z_scores[self._fold == fold] = standardize(rows, rows.mean(axis=0), spread(rows))
        self.inputs: Array = z_scores.reshape(len(members), -1)
        self.centred = self.center(np.where(self.labelled, targets, 0.0), self.folds)
        # Of all rows, so that the sums of different folds can be added.
        patterns, pattern = _distinct_columns(self.labelled)
        self._sums = [self._sums_of(fold, patterns, pattern) for fold in self.folds]
        self._known: dict[tuple[Callable[..., Array], Folds], Array] = {}

    def rows(self, folds: Folds) -> Bools:
        """Mark the rows of the given folds [n_rows]."""
        return np.isin(self._fold, folds)

    def sums(self, folds: Folds) -> Sums:
        """Return the sums over the given folds."""
        parts = [self._sums[fold] for fold in folds]
        fields = ("n_rows", "gram", "cross", "size")
        added = {name: sum(getattr(part, name) for part in parts) for name in fields}
        return Sums(pattern=parts[0].pattern, **added)

    def fitted(self, fit: Callable[["Folded", Folds], Array], folds: Folds) -> Array:
        """Return ``fit(self, folds)``, computed once for each set of folds."""
        key = (fit, folds)
        if key not in self._known:
            self._known[key] = fit(self, folds)
        return self._known[key]

    def center(self, values: Array, folds: Folds) -> Array:
        """Subtract the mean over the labelled rows of each fold; 0 where unlabelled or constant.

        `values` is [n_rows, n_targets]; rows of other folds become 0.
        """
        centred = np.zeros_like(values)
        for fold in folds:
            rows = self._fold == fold
            labelled = self.labelled[rows]
            known = np.where(labelled, values[rows], 0.0)
            n_rows = np.maximum(labelled.sum(axis=0), 1)
            deviation = np.where(labelled, known - known.sum(axis=0) / n_rows, 0.0)
            size = np.sqrt(np.square(deviation).sum(axis=0) / n_rows)
            constant = size <= CONSTANT_TOLERANCE * np.abs(known).max(axis=0, initial=0.0)
            centred[rows] = np.where(constant, 0.0, deviation)
        return centred

    def _sums_of(self, fold: int, patterns: Bools, pattern: Ints) -> Sums:
        rows = self._fold == fold
        inputs, labelled, centred = self.inputs[rows], patterns[rows], self.centred[rows]
        grams, cross = [], np.empty((len(pattern), inputs.shape[1]))
        for number, known in enumerate(labelled.T):
            of_pattern = inputs[known]
            of_pattern = of_pattern - of_pattern.mean(axis=0) if known.any() else of_pattern
            grams.append(of_pattern.T @ of_pattern)
            cross[pattern == number] = centred[known][:, pattern == number].T @ of_pattern
        n_rows = self.labelled[rows].sum(axis=0).astype(np.float64)
        return Sums(n_rows, np.stack(grams), pattern, cross, np.square(centred).sum(axis=0))


def standardize(members: Array, center: Array, scale: Array) -> Array:
    """Return z-scores, 0 where the scale is 0."""
    deviation = members - center
    return np.divide(deviation, scale, out=np.zeros_like(deviation), where=scale > 0)


def spread(members: Array) -> Array:
    """Return the standard deviation over rows, 0 where only rounding varies."""
    size = members.std(axis=0)
    constant = size <= CONSTANT_TOLERANCE * np.abs(members).max(axis=0)
    return np.where(constant, 0.0, size)


def _distinct_columns(columns: Bools) -> tuple[Bools, Ints]:
    """Return the distinct columns, and which of them each column is."""
    first: dict[bytes, int] = {}
    which = [first.setdefault(column.tobytes(), number) for number, column in enumerate(columns.T)]
    numbers, inverse = np.unique(which, return_inverse=True)
    return columns[:, numbers], inverse.astype(np.int64)
