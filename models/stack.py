"""A stack over (head, view) pairs that has to earn its weights against the plain average.

Members are z-scored, combined per target, and mapped back to target units by a line. The plain
average of z-scores is hard to beat with few rows, so fitted weights replace it only where they beat
it on folds they were not fitted on.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import nnls

from models.arrays import DataError, Ints, as_targets, check_same_rows
from models.metrics import CONSTANT_TOLERANCE

Array = NDArray[np.float64]
Method = Literal["average", "weighted"]

PRIOR_ROWS = 50
"""Equal weights count as much as this many rows: few rows stay near them, thousands leave them.

Chosen on simulated members (12 members, 72 to 2,400 rows): plain non-negative least squares lost to
the average at 72 rows, and a pull that does not fade with the rows lost at 2,400.
"""


@dataclass(frozen=True)
class Stack:
    """Weights per target and member, and the scales before and after them.

    Attributes
    ----------
    method : {"average", "weighted"}
        How members are combined; one choice for all targets, since one target alone has too few
        rows to choose on.
    weights : array [n_targets, n_members]
        Non-negative, sum 1 per target.
    center, scale : array [n_members, n_targets]
        Mean of the members' out-of-fold predictions, and their standard deviation inside the folds;
        0 where a member is constant.
    slope, intercept : array [n_targets]
        From the combined z-scores to target units; the slope is never negative.
    """

    method: Method
    weights: Array
    center: Array
    scale: Array
    slope: Array
    intercept: Array

    def predict(self, members: Array) -> Array:
        """Combine the members' predictions of new rows.

        Parameters
        ----------
        members : array [n_rows, n_members, n_targets]
            In the order of the fit, from heads refitted on all rows.

        Returns
        -------
        array [n_rows, n_targets]
            In target units.

        Raises
        ------
        ValueError
            When the members or targets are not as many as in the fit, or a prediction is missing.
        """
        _check_members(members)
        if members.shape[1:] != self.center.shape:
            raise ValueError(
                f"members has {members.shape[1]} members and {members.shape[2]} targets, the stack "
                f"{self.center.shape[0]} and {self.center.shape[1]}; pass the (head, view) pairs "
                "it was fitted on, in that order."
            )
        z_scores = _z_scores(members, self.center, self.scale)
        return _weigh(z_scores, self.weights) * self.slope + self.intercept


def fit_stack(members: Array, y: ArrayLike, fold_of_row: Ints) -> Stack:
    """Fit a stack on out-of-fold predictions.

    Candidates are the plain average of the z-scores and weights by non-negative least squares,
    pulled towards equal ones. Both are fitted on all folds but one and scored on that one; the
    weights replace the average only if their squared error over all folds and targets (in units of
    each target's variance) is lower.

    Parameters
    ----------
    members : array [n_rows, n_members, n_targets]
        Out-of-fold predictions of each (head, view) pair.
    y : array [n_rows, n_targets]
        Targets; NaN where unlabelled, then left out.
    fold_of_row : array of int [n_rows]
        The folds of the predictions. Those of one fold come from models of their own, so
        predictions are z-scored inside their fold.

    Raises
    ------
    ValueError
        When shapes differ, a prediction is missing, or a target is labelled in less than two folds.
    """
    targets = _checked(members, y, fold_of_row)
    return _fit(members, _fold_z_scores(members, fold_of_row), targets, fold_of_row)


def stack_oof(members: Array, y: ArrayLike, fold_of_row: Ints) -> Array:
    """Predict every row by a stack fitted on the other folds [n_rows, n_targets].

    Parameters and errors are those of `fit_stack`. No label of a row's own fold takes part in its
    weights or in the choice between average and weights, so the score is honest. Offset and slope
    are shared by all rows (the target mean, and the mean of the fitted slopes): lines fitted
    without a fold lean away from its labels, which biases a correlation over all rows downwards.
    """
    targets = _checked(members, y, fold_of_row)
    z_scores = _fold_z_scores(members, fold_of_row)
    combined, slopes = np.empty_like(targets), []
    for fold in np.unique(fold_of_row):
        out = fold_of_row == fold
        stack = _fit(members[~out], z_scores[~out], targets[~out], fold_of_row[~out])
        combined[out] = _weigh(z_scores[out], stack.weights)
        slopes.append(stack.slope)
    stacked: Array = combined * np.mean(slopes, axis=0) + np.nanmean(targets, axis=0)
    return stacked


def _fit(members: Array, z_scores: Array, targets: Array, fold_of_row: Ints) -> Stack:
    weights, method = _equal_weights(z_scores), _choose(z_scores, targets, fold_of_row)
    if method == "weighted":
        weights = _fitted_weights(z_scores, targets)
    slope, intercept = _lines(_weigh(z_scores, weights), targets)
    folds = [fold_of_row == fold for fold in np.unique(fold_of_row)]
    variances = [np.square(_spread(members[rows])) * rows.mean() for rows in folds]
    # The spread inside folds: the differing means of the folds' models are no signal.
    scale = np.sqrt(np.sum(variances, axis=0))
    return Stack(method, weights, members.mean(axis=0), scale, slope, intercept)


def _choose(z_scores: Array, targets: Array, fold_of_row: Ints) -> Method:
    folds = np.unique(fold_of_row)
    if len(folds) < 2:
        return "average"
    gain = np.empty_like(targets)
    for fold in folds:
        out = fold_of_row == fold
        errors = []
        for weigh in (_equal_weights(z_scores), _fitted_weights(z_scores[~out], targets[~out])):
            slope, intercept = _lines(_weigh(z_scores[~out], weigh), targets[~out])
            predicted = _weigh(z_scores[out], weigh) * slope + intercept
            errors.append(np.square(predicted - targets[out]))
        gain[out] = errors[0] - errors[1]
    relative = gain / np.maximum(np.nanvar(targets, axis=0), np.finfo(float).tiny)
    # NaN (unlabelled, or no label in the other folds) counts for neither side.
    return "weighted" if np.nansum(relative) > 0 else "average"


def _equal_weights(z_scores: Array) -> Array:
    n_members, n_targets = z_scores.shape[1:]
    return np.full((n_targets, n_members), 1 / n_members)


def _fitted_weights(z_scores: Array, targets: Array) -> Array:
    """Non-negative ridge weights around the equally weighted fit, scaled to sum 1."""
    weights = _equal_weights(z_scores)
    n_members = z_scores.shape[1]
    for number, target in enumerate(targets.T):
        rows = ~np.isnan(target)
        if not rows.any():
            continue
        z = z_scores[rows, :, number] - z_scores[rows, :, number].mean(axis=0)
        t = target[rows] - target[rows].mean()
        equal = _slope(z.mean(axis=1), t) / n_members
        pull = np.sqrt(PRIOR_ROWS)
        system = np.vstack([z, pull * np.eye(n_members)])
        fitted = nnls(system, np.concatenate([t, np.full(n_members, pull * equal)]))[0]
        if fitted.sum() > 0:
            weights[number] = fitted / fitted.sum()
    return weights


def _weigh(z_scores: Array, weights: Array) -> Array:
    weighed: Array = np.einsum("nmt,tm->nt", z_scores, weights)
    return weighed


def _lines(combined: Array, targets: Array) -> tuple[Array, Array]:
    """Least-squares lines with non-negative slopes; NaN intercept without labels."""
    slope, intercept = np.zeros(targets.shape[1]), np.full(targets.shape[1], np.nan)
    for number, (score, target) in enumerate(zip(combined.T, targets.T, strict=True)):
        rows = ~np.isnan(target)
        if rows.any():
            mean, target_mean = score[rows].mean(), target[rows].mean()
            slope[number] = _slope(score[rows] - mean, target[rows] - target_mean)
            intercept[number] = target_mean - slope[number] * mean
    return slope, intercept


def _slope(x: Array, y: Array) -> float:
    """Non-negative least-squares slope of centred y on centred x; 0 for constant x."""
    size = float(x @ x)
    return max(0.0, float(x @ y) / size) if size > 0 else 0.0


def _fold_z_scores(members: Array, fold_of_row: Ints) -> Array:
    z_scores = np.empty_like(members)
    for fold in np.unique(fold_of_row):
        rows = members[fold_of_row == fold]
        z_scores[fold_of_row == fold] = _z_scores(rows, rows.mean(axis=0), _spread(rows))
    return z_scores


def _z_scores(members: Array, center: Array, scale: Array) -> Array:
    deviation = members - center
    return np.divide(deviation, scale, out=np.zeros_like(deviation), where=scale > 0)


def _spread(members: Array) -> Array:
    """Return the standard deviation over rows, 0 where only rounding varies."""
    spread = members.std(axis=0)
    constant = spread <= CONSTANT_TOLERANCE * np.abs(members).max(axis=0)
    return np.where(constant, 0.0, spread)


def _checked(members: Array, y: ArrayLike, fold_of_row: Ints) -> Array:
    targets = as_targets(y)
    _check_members(members)
    check_same_rows(members=members, y=targets, fold_of_row=fold_of_row)
    if members.shape[2] != targets.shape[1]:
        raise ValueError(
            f"members predict {members.shape[2]} targets, y has {targets.shape[1]}; "
            "expected the same targets in the same order."
        )
    for number, target in enumerate(targets.T):
        n_folds = len(np.unique(fold_of_row[~np.isnan(target)]))
        if n_folds < 2:
            raise DataError(
                f"target column {number} is labelled in {n_folds} folds; a stack needs labels in "
                "at least 2. Leave the target out, or label more rows."
            )
    return targets


def _check_members(members: Array) -> None:
    if members.ndim != 3 or members.shape[1] == 0:
        raise ValueError(
            f"members has shape {members.shape}; expected [n_rows, n_members, n_targets] with at "
            "least one member."
        )
    if not np.isfinite(members).all():
        raise ValueError(
            "members holds NaN or infinite predictions; every head predicts every row."
        )
