"""Fit a stack on out-of-fold predictions, and predict with it.

Members are z-scored, combined per target, and mapped back to target units by a line.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from models.arrays import Bools, Floats64, Ints, as_targets, check_same_rows
from models.metrics import CONSTANT_TOLERANCE
from models.stack.weights import FoldedMembers, choose_share, fit_weights, spread, standardize

LEAST_CORRELATION = 0.01
"""What the line to target units takes for the correlation at least.

A few labels may say that members predict a target backwards. A flat line would throw their order
away, and out of fold it would do so by the very labels that it is scored on.
"""


@dataclass(frozen=True, repr=False)
class Stack:
    """Weights per target and member, and the scales before and after them.

    Attributes
    ----------
    share : float
        How much of the weights was fitted, the rest being the average's; 0 for the average itself.
    weights : array [n_targets, n_members]
        What each member's z-scored prediction of a target adds to it; not negative, of a sum near
        1. `member_weights` are easier to read.
    center, scale : array [n_members, n_targets]
        Mean of the members' out-of-fold predictions, and their standard deviation inside the folds;
        0 where a member is constant.
    slope, intercept : array [n_targets]
        From the combined z-scores to target units; a slope is positive, or 0 where nothing
        varies: then the intercept, the training mean, is predicted. It is NaN for a target that no
        row is labelled for.
    """

    share: float
    weights: Floats64
    center: Floats64
    scale: Floats64
    slope: Floats64
    intercept: Floats64

    def __post_init__(self) -> None:
        n_targets = self.center.shape[1]
        found = self.weights.T.shape, self.scale.shape, self.slope.shape, self.intercept.shape
        if found != (self.center.shape, self.center.shape, (n_targets,), (n_targets,)):
            raise ValueError(
                f"weights {self.weights.shape}, scale {self.scale.shape}, slope {self.slope.shape} "
                f"and intercept {self.intercept.shape} do not fit center [n_members, n_targets] of "
                f"shape {self.center.shape}."
            )

    def __repr__(self) -> str:
        n_members, n_targets = self.center.shape
        return (
            f"Stack(method={self.method!r}, share={self.share:.2g}, {n_members} members, "
            f"{n_targets} targets)"
        )

    @property
    def method(self) -> str:
        """How members are combined.

        ``nnls`` (non-negative least squares), ``average``, or ``mean``, where no member varies and
        the mean of the training labels is all that can be predicted.
        """
        if not self.used.any():
            return "mean"
        return "nnls" if self.share else "average"

    @property
    def member_weights(self) -> Floats64:
        """Each member's share of the weight on a target [n_targets, n_members].

        It sums to 1 per target (0 where every member is constant). It says how much a member is
        listened to, not what would be lost without it: alike members share what either could do.
        """
        total = self.weights.sum(axis=1, keepdims=True)
        shares = np.zeros_like(self.weights)
        return np.asarray(np.divide(self.weights, total, out=shares, where=total > 0))

    @property
    def used(self) -> Bools:
        """Which members have any weight on any target [n_members]."""
        return np.asarray((self.weights != 0).any(axis=0))

    @property
    def kept(self) -> Bools:
        """The `used` members; where there is none, the first, through which it says the mean."""
        none_used = np.arange(len(self.center)) == 0
        return self.used if self.used.any() else none_used

    def without_idle_members(self) -> "Stack":
        """Return the same stack for the `kept` members alone."""
        return replace(
            self,
            weights=self.weights[:, self.kept],
            center=self.center[self.kept],
            scale=self.scale[self.kept],
        )

    def predict(self, members: Floats64) -> Floats64:
        """Combine the members' predictions of new rows, in target units [n_rows, n_targets].

        `members` [n_rows, n_members, n_targets] come from heads refitted on all rows, in the order
        of the fit. A ValueError says when they are not as many, or a prediction is missing.
        """
        values = _checked_members(members)
        if values.shape[1:] != self.center.shape:
            raise ValueError(
                f"members has {values.shape[1]} members and {values.shape[2]} targets, the stack "
                f"{self.center.shape[0]} and {self.center.shape[1]}; pass the (head, view) pairs "
                "it was fitted on, in that order."
            )
        _refuse_gaps(np.isnan(values) & (self.weights.T > 0) & ~np.isnan(self.intercept))
        z_scores = standardize(values, self.center, self.scale)
        combined = np.einsum("nmt,tm->nt", z_scores, self.weights)
        return np.asarray(combined * self.slope + self.intercept)


def fit_stack(members: Floats64, y: ArrayLike, fold_of_row: Ints) -> Stack:
    """Fit a stack on out-of-fold predictions.

    Non-negative weights are fitted on all folds but one and scored on that one. They replace an
    average of the z-scores, by skill, by as much as they beat it there beyond the noise
    (`models.stack.weights`), and are then fitted on all folds.

    Parameters
    ----------
    members : array [n_rows, n_members, n_targets]
        Out-of-fold predictions of each (head, view) pair; NaN for a target that no head could
        predict in a fold, since nobody outside it is labelled.
    y : array [n_rows, n_targets]
        Targets; NaN where unlabelled, then left out.
    fold_of_row : array of int [n_rows]
        The folds of the predictions. Those of one fold come from models of their own, so
        predictions are z-scored inside their fold.

    Raises
    ------
    ValueError
        When shapes differ or a prediction is missing.

    Notes
    -----
    Out-of-fold predictions know a fold's labels from the rows of the other folds: the heads that
    predicted those have learned from it. Weights fitted there, and the decision to use them, lean
    towards the fold that they are then scored on. With real signal this is too little to see: on
    FER+ and CREMA-D the gain over the average out of fold is that on new people. Without signal it
    shows: 16 overfitted heads on 400 rows of noise score 0.04 (benchmarks/stack_choice.py).

    Examples
    --------
    Two heads predict one target of 900 rows in three folds; the second one is right more often:

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> y = rng.normal(size=(900, 1))
    >>> members = y[:, None] + np.array([3.0, 0.5])[:, None] * rng.normal(size=(900, 2, 1))
    >>> stack = fit_stack(members, y, fold_of_row=np.arange(900) % 3)
    >>> stack
    Stack(method='average', share=0, 2 members, 1 targets)
    >>> stack.member_weights.round(1)
    array([[0.1, 0.9]])
    >>> stack.predict(members[:5]).shape
    (5, 1)
    """
    return _fit(*_checked(members, y, fold_of_row), np.asarray(fold_of_row))


def stack_oof(members: Floats64, y: ArrayLike, fold_of_row: Ints) -> Floats64:
    """Predict every row by the stack of the other folds, applied as it would be to new rows.

    Centre, scale, weights, slope and intercept all come from the other folds: no label and no
    prediction of a row's own fold takes part, but through the members (see `fit_stack`). The
    stacks of the folds differ in mean, so score them fold by fold
    (`models.evaluation.scores.score_predictions`). Arguments and errors are those of `fit_stack`.

    Returns
    -------
    array [n_rows, n_targets]
        In target units; NaN where nobody outside the fold is labelled.
    """
    values, targets = _checked(members, y, fold_of_row)
    folds = np.asarray(fold_of_row)
    predicted = np.full(targets.shape, np.nan)
    for fold in np.unique(folds):
        own = folds == fold
        if not own.all():
            predicted[own] = _fit(values[~own], targets[~own], folds[~own]).predict(values[own])
    return predicted


def _fit(members: Floats64, targets: Floats64, fold_of_row: Ints) -> Stack:
    can_be_said: Bools = np.asarray(~np.isnan(members).any(axis=1))
    known = np.where(can_be_said, targets, np.nan)
    data = FoldedMembers(members, known, fold_of_row)
    share = choose_share(data)
    # The spread inside folds: the differing means of the folds' models are no signal.
    variances = [
        np.nan_to_num(np.square(spread(members[rows]))) * rows.sum() for rows in data.folds
    ]
    n_said = np.maximum(can_be_said.sum(axis=0), 1)
    scale = np.sqrt(np.sum(variances, axis=0) / n_said)
    center = np.where(can_be_said[:, None], members, 0.0).sum(axis=0) / n_said
    weights = np.where(scale.T > 0, fit_weights(data.sums(), share), 0.0)
    slope, intercept = _lines(data.combine(weights, np.ones(len(members), np.bool_)), known)
    # Labels, but none beside a prediction (those of a single fold): the average in its own units.
    alone = np.isnan(known).all(axis=0) & ~np.isnan(targets).all(axis=0)
    weights[alone], scale[:, alone], center[:, alone] = 1 / members.shape[1], 1.0, 0.0
    slope[alone], intercept[alone] = 1.0, 0.0
    return Stack(share, weights, center, scale, slope, intercept)


def _lines(combined: Floats64, targets: Floats64) -> tuple[Floats64, Floats64]:
    """Least-squares lines with rising slopes, 0 where nothing varies; NaN intercept unlabelled."""
    slope, intercept = np.zeros(targets.shape[1]), np.full(targets.shape[1], np.nan)
    for number, (score, target) in enumerate(zip(combined.T, targets.T, strict=True)):
        rows = ~np.isnan(target)
        if rows.any():
            mean, target_mean = score[rows].mean(), target[rows].mean()
            x, t = score[rows] - mean, target[rows] - target_mean
            size, target_size = np.linalg.norm(x), np.linalg.norm(t)
            if size > CONSTANT_TOLERANCE * np.sqrt(len(x)):  # of z-scores, whose unit is 1
                slope[number] = max(float(x @ t) / size, LEAST_CORRELATION * target_size) / size
            intercept[number] = target_mean - slope[number] * mean
    return slope, intercept


def _checked(members: Floats64, y: ArrayLike, fold_of_row: Ints) -> tuple[Floats64, Floats64]:
    values, targets = _checked_members(members), as_targets(y)
    check_same_rows(members=values, y=targets, fold_of_row=fold_of_row)
    if values.shape[1] == 0 or values.shape[2] != targets.shape[1]:
        raise ValueError(
            f"{values.shape[1]} members predict {values.shape[2]} targets, y has "
            f"{targets.shape[1]}; expected at least one member, and the same targets in the same "
            "order."
        )
    missing = np.isnan(values)
    _refuse_gaps(missing & ~missing.all(axis=1, keepdims=True))
    return values, targets


def _checked_members(members: ArrayLike) -> Floats64:
    values = np.asarray(members, dtype=np.float64)
    if values.ndim != 3 or np.isinf(values).any():
        raise ValueError(
            f"members has shape {values.shape}; expected [n_rows, n_members, n_targets], without "
            "infinite values."
        )
    return values


def _refuse_gaps(missing: Bools) -> None:
    if missing.any():
        raise ValueError(
            f"members lack {int(missing.sum())} predictions; every head predicts every row."
        )
