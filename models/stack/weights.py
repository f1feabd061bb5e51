"""Weights of members: how much of non-negative least squares, how much of an average by skill.

An average is hard to beat with few rows, and weights that happened to win on four folds often lose
on the fifth. They therefore replace the average only where they beat it by far more than the noise
on folds that they were not fitted on, and then by a share that grows with the evidence, from zero:
near the border a wrong decision costs next to nothing. The average weighs members by how they
correlate with the targets, over all of these: weak ones cost little, and nothing is overfitted.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import nnls as solve_nnls

from models.arrays import Bools, Floats64, Ints
from models.metrics import CONSTANT_TOLERANCE

MARGIN = 3.0
"""Standard errors by which fitted weights must beat the average.

Tuned by scores on new people, on FER+ and CREMA-D (150 to 4,000 clips) and on simulated tables of
72 to 2,400 rows (benchmarks/stack_choice.py). At 2.0 one table in fifty lost more than 0.002, by up
to 0.036; at 4.5 a fifth of the gain on real tables of 1,200 clips was left behind, and all of it on
400. The error counts rows as independent, which clips of one person are not quite; the margin
covers it.
"""

SHARPNESS = 6
"""The share is ``1 - (border / gain) ** SHARPNESS``: 0 at the border, 0.98 at twice the border.

The form is that of the non-negative garrote (Breiman 1995, Technometrics 37:373-384), with 2 there.
"""

FEW_ROWS = 12
"""The standard error holds for many rows; for n it is taken ``1 + FEW_ROWS / n`` times as large. In
the average all members count the same up to so many rows, and nearly so with a few times more."""

PRIOR_ROWS = 1000
"""What weights are pulled towards counts as this many rows: few rows stay near it, thousands leave
it. On members of CREMA-D's heads the fit beats one with 200, each target by itself, by .001."""


class Sums(NamedTuple):
    """Sums of products over the labelled rows of some folds, centred inside each.

    The number of labelled rows [n_targets]; of z-scored members with each other [n_targets,
    n_members, n_members] and with the target [n_targets, n_members]; of the target with itself.
    """

    n_rows: Floats64
    gram: Floats64
    cross: Floats64
    size: Floats64

    def variation(self, weights: Floats64) -> Floats64:
        """Sum squares of the members combined by `weights` [n_targets, n_members].

        The result is [n_targets]; 0 where only rounding varies.
        """
        squares = np.einsum("tm,tmn,tn->t", weights, self.gram, weights)
        rounding = 1e-12 * self.n_rows * np.square(np.abs(weights).sum(axis=1))
        return np.where(squares > rounding, squares, 0.0)


class FoldedMembers:
    """Z-scored members and centred targets in their folds, and sums of their products.

    Everything is centred inside its fold: the models of the folds have means of their own. Leaving
    a fold out is then leaving out its sums, and no fit ever goes back to the rows.

    Parameters
    ----------
    members : array [n_rows, n_members, n_targets]
        Out-of-fold predictions.
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

    def __init__(self, members: Floats64, targets: Floats64, fold_of_row: Ints) -> None:
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

    def combine(self, weights: Floats64, rows: Bools) -> Floats64:
        """Add up the members of some rows by weights [n_targets, n_members]."""
        return np.asarray(np.einsum("nmt,tm->nt", self.z_scores[rows], weights))

    def center(self, values: Floats64) -> Floats64:
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


def choose_share(data: FoldedMembers) -> float:
    """Decide how much of the fitted weights to take, by folds left out one at a time.

    At most 1; the rest is the average's. One for all targets, since choosing per target
    gained nothing. 0 where the average is not beaten, or with fewer than two folds.
    """
    if len(data.folds) < 2:
        return 0.0
    averaged, influence_averaged = _influence(data, _left_out(data, 0.0))
    fitted, influence_fitted = _influence(data, _left_out(data, 1.0))
    gain = float(np.mean(fitted - averaged))
    by_row = np.mean(influence_fitted - influence_averaged, axis=1)
    # Far below anything that matters, so that rounding is never a gain.
    border = max(MARGIN * float(by_row.std()) / np.sqrt(len(by_row)), 1e-6)
    return 1 - (border / gain) ** SHARPNESS if gain > border else 0.0


def fit_weights(sums: Sums, share: float) -> Floats64:
    """Mix a share of fitted weights with those of the average [n_targets, n_members].

    Not negative, and scaled so that the combination varies as much as the average does.
    """
    average = average_weights(sums)
    if share == 0:
        return average
    goal = sums.variation(average)
    fitted = _as_varied(_non_negative_least_squares(sums, average), sums, goal)
    return _as_varied(share * fitted + (1 - share) * average, sums, goal)


def average_weights(sums: Sums) -> Floats64:
    """Weigh members by their squared mean correlation with the targets [n_targets, n_members].

    All targets share the weights, which sum to 1. On 20 tables of FER+ and CREMA-D of 150 to 4,000
    clips with 18 members (benchmarks/stack_choice.py) the stack's mean on new people was 0.3834
    with equal weights and 0.3873 with these; no table lost more than 0.001.
    """
    sizes = np.sqrt(np.einsum("tmm->tm", sums.gram) * sums.size[:, None])
    least = 1e-12 * np.maximum(sums.n_rows, 1)[:, None]
    r = np.divide(sums.cross, sizes, out=np.zeros_like(sizes), where=sizes > least)
    n_beyond = max(sums.n_rows.mean() - FEW_ROWS, 0)
    skill = n_beyond * np.square(np.maximum(r.mean(axis=0), 0)) + FEW_ROWS
    return np.tile(skill / skill.sum(), (len(r), 1))


def standardize(members: Floats64, center: Floats64, scale: Floats64) -> Floats64:
    """Return z-scores, 0 where the scale is 0."""
    deviation = members - center
    return np.divide(deviation, scale, out=np.zeros_like(deviation), where=scale > 0)


def spread(members: Floats64) -> Floats64:
    """Return the standard deviation over rows, 0 where only rounding varies."""
    size = members.std(axis=0)
    constant = size <= CONSTANT_TOLERANCE * np.abs(members).max(axis=0)
    return np.where(constant, 0.0, size)


def _as_varied(weights: Floats64, sums: Sums, goal: Floats64) -> Floats64:
    size = sums.variation(weights)
    factor = np.divide(goal, size, out=np.ones_like(size), where=(size > 0) & (goal > 0))
    return np.asarray(weights * np.sqrt(factor)[:, None])


def _non_negative_least_squares(sums: Sums, average: Floats64) -> Floats64:
    """Fit the weights of each target, pulled towards those of all targets taken together.

    These are pulled towards the average in turn, both by `PRIOR_ROWS`. Non-negative weights are
    what makes stacked regressions work (Breiman 1996, Machine Learning 24:49-64).
    """
    unit = np.sqrt(sums.size / np.maximum(sums.n_rows, 1))
    known = np.flatnonzero(unit)
    cross, weights = sums.cross[known] / unit[known, None], average.copy()
    shared = _pulled(sums.gram[known].sum(axis=0), cross.sum(axis=0), average[0])
    for number, own in zip(known, cross, strict=True):
        weights[number] = _pulled(sums.gram[number], own, shared)
    return weights


def _pulled(gram: Floats64, cross: Floats64, center: Floats64) -> Floats64:
    """Minimise ``|z w - t|^2 + PRIOR_ROWS |w - s center|^2``, with s the best scale of the center.

    The weights [n_members] are not negative; the center's where there is no other.
    """
    size, pull = center @ gram @ center, np.zeros_like(center)
    if size > 1e-9 * np.trace(gram) * center @ center:
        pull = PRIOR_ROWS * np.maximum(center @ cross / size, 0) * center
    root = cholesky(gram + PRIOR_ROWS * np.eye(len(gram)))
    fitted: Floats64 = solve_nnls(root, solve_triangular(root, cross + pull, trans="T"))[0]
    return fitted if fitted.any() else center


def _left_out(data: FoldedMembers, share: float) -> Floats64:
    """Combine each fold by weights of the others, centred [n_rows, n_targets]."""
    combined = np.zeros_like(data.centred)
    for number, rows in enumerate(data.folds):
        combined[rows] = data.combine(fit_weights(data.sums(without=number), share), rows)
    return data.center(combined)


def _influence(data: FoldedMembers, combined: Floats64) -> tuple[Floats64, Floats64]:
    """Correlation per target, and what each row contributes to it [n_rows, n_targets].

    For standardised x and y a row moves the correlation r by ``x y - r (x^2 + y^2) / 2`` over the
    number of rows (its influence function; Devlin et al. 1975, Biometrika 62:531-545), so the
    standard error of a difference of correlations is that of a mean.
    """
    x, y = combined, data.centred
    n_labelled = np.maximum(data.labelled.sum(axis=0), 1)
    sizes = [np.sqrt(np.square(values).sum(axis=0) / n_labelled) for values in (x, y)]
    x, y = (
        np.divide(values, size, out=np.zeros_like(values), where=size > 0)
        for values, size in zip((x, y), sizes, strict=True)
    )
    r = np.sum(x * y, axis=0) / n_labelled
    influence = (x * y - r * (x * x + y * y) / 2) * (len(x) / n_labelled)
    return r, influence * (1 + FEW_ROWS / n_labelled)
