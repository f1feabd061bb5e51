"""Person-wise bootstrap of the mean Pearson, from sums per group.

Clips of one person are alike, so people are drawn, not clips. A resample only changes how often
each group counts; six sums per group and target are therefore enough for every resample at once.
Three of them are of the labels alone, and the counts are the same for all: many predictions of the
same rows cost little more than one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.arrays import Ints, as_targets, check_same_rows, group_codes
from models.metrics import CONSTANT_TOLERANCE, check_predictions

RESAMPLES_AT_ONCE = 256
"""Keeps memory small with thousands of groups, and matrix products large."""

TIE = 1e-9
"""Scores that differ by no more than this differ by rounding."""


@dataclass(frozen=True)
class Interval:
    """Both ends of a confidence interval."""

    low: float
    high: float


def bootstrap_interval(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    groups: ArrayLike,
    n_resamples: int,
    seed: int,
    level: float = 0.95,
) -> Interval:
    """Percentile interval of the mean Pearson of one prediction over resampled groups.

    Parameters
    ----------
    y_true, y_pred : array [n_rows, n_targets]
        Labels (NaN = unlabelled, left out) and predictions.
    groups, n_resamples, seed
        As in `bootstrap_scores`; 2,000 resamples give steady ends of a 95 % interval.
    level : float
        Coverage, between 0 and 1.

    Returns
    -------
    Interval
        Both ends are NaN when fewer than two groups are labelled: one person tells nothing of
        how people differ.
    """
    return percentile_interval(
        bootstrap_scores(y_true, as_targets(y_pred, "y_pred"), groups, n_resamples, seed), level
    )


def bootstrap_scores(
    y_true: ArrayLike, predictions: ArrayLike, groups: ArrayLike, n_resamples: int, seed: int
) -> NDArray[np.float64]:
    """Mean Pearson of every resample of the groups, for one or many predictions.

    Scores follow `models.metrics`: in each resample a constant target or prediction counts as 0
    and a target with fewer than two labelled rows is left out. A target with fewer than two
    labelled rows in all is left out of every resample.

    Parameters
    ----------
    y_true : array [n_rows, n_targets]
        Labels; NaN where unlabelled, then left out.
    predictions : array [n_members, n_rows, n_targets] or [n_rows, n_targets]
        Predictions of the same rows by several members, or one.
    groups : array [n_rows]
        The person of each row.
    n_resamples : int
        Number of resamples.
    seed : int
        Seed of the resampling. Equal groups, labelled rows and seed give the same resamples for
        every prediction, also in separate calls: the scores of two members are paired.

    Returns
    -------
    array of float64 [n_members, n_resamples] or [n_resamples]
        Mean Pearson of each resample; all NaN when fewer than two groups are labelled.

    Raises
    ------
    ValueError
        When shapes differ or a labelled row has a NaN prediction.
    """
    true, given = as_targets(y_true, "y_true"), np.asarray(predictions, dtype=np.float64)
    members = given if given.ndim == 3 else given[None]
    for member in members:
        check_predictions(true, member)
    codes = group_codes(groups)
    check_same_rows(y_true=true, groups=codes)
    labelled = np.flatnonzero(~np.isnan(true).all(axis=1))
    codes = group_codes(codes[labelled])
    n_groups = int(codes.max()) + 1 if len(codes) else 0
    scores = np.full((len(members), n_resamples), np.nan)
    if n_groups >= 2:
        sums = _group_sums(true, members, labelled, codes)
        blocks = [_scores(sums, counts) for counts in resample_counts(n_groups, n_resamples, seed)]
        scores = np.concatenate(blocks, axis=1)
    return scores if given.ndim == 3 else scores[0]


def resample_counts(n_groups: int, n_resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """How often each group is drawn in each resample, with replacement.

    Yields
    ------
    array of float64 [up to RESAMPLES_AT_ONCE, n_groups]
        The next resamples; `n_resamples` in all.
    """
    rng = np.random.default_rng(seed)
    for start in range(0, n_resamples, RESAMPLES_AT_ONCE):
        n = min(RESAMPLES_AT_ONCE, n_resamples - start)
        draws = rng.integers(n_groups, size=(n, n_groups)) + np.arange(n)[:, None] * n_groups
        counts = np.bincount(draws.ravel(), minlength=n * n_groups)
        yield counts.reshape(n, n_groups).astype(np.float64)


def percentile_interval(scores: NDArray[np.float64], level: float = 0.95) -> Interval:
    """Interval that holds the share `level` of the scores of resamples [n_resamples].

    Resamples without a score (NaN) are left out; both ends are NaN when none has one. Applied to
    the difference of two members' scores, it is the interval of that difference.
    """
    known = scores[~np.isnan(scores)]
    if not len(known):
        return Interval(float("nan"), float("nan"))
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def probability_better(scores_a: NDArray[np.float64], scores_b: NDArray[np.float64]) -> float:
    """Share of the resamples in which a scores above b; ties count half.

    Parameters
    ----------
    scores_a, scores_b : array [n_resamples]
        From `bootstrap_scores` on the same labels, groups and seed, so that both saw the same
        people in each resample.

    Returns
    -------
    float
        Between 0 and 1; NaN when no resample has both scores.

    Raises
    ------
    ValueError
        When the arrays differ in length.
    """
    check_same_rows(scores_a=scores_a, scores_b=scores_b)
    difference = scores_a - scores_b
    difference = difference[~np.isnan(difference)]
    if not len(difference):
        return float("nan")
    ties = np.abs(difference) <= TIE
    return float((np.where(ties, 0.5, difference > 0)).mean())


@dataclass(frozen=True)
class _Sums:
    """Sums per group over centred values; x are labels, y predictions.

    ``labels`` holds n, x, x x [3, n_targets, n_groups]; ``members`` y, y y, x y
    [n_members, 3, n_targets, n_groups]; the floors are the variances below which values are
    constant, [n_targets] and [n_members, n_targets].
    """

    labels: NDArray[np.float64]
    members: NDArray[np.float64]
    floor_true: NDArray[np.float64]
    floor_pred: NDArray[np.float64]


def _group_sums(
    true: NDArray[np.float64],
    members: NDArray[np.float64],
    labelled: NDArray[np.intp],
    codes: Ints,
) -> _Sums:
    order = np.argsort(codes, kind="stable")
    rows = labelled[order]
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    known = ~np.isnan(true[rows])
    known &= known.sum(axis=0) >= 2
    x, floor_true = _centred(true[rows], known)
    labels = [np.add.reduceat(term, starts).T for term in (known.astype(np.float64), x, x * x)]
    sums = np.empty((len(members), 3, true.shape[1], len(starts)))
    floor_pred = np.empty((len(members), true.shape[1]))
    for number, member in enumerate(members):
        y, floor_pred[number] = _centred(member[rows], known)
        for place, term in enumerate((y, y * y, x * y)):
            sums[number, place] = np.add.reduceat(term, starts).T
    return _Sums(np.stack(labels), sums, floor_true, floor_pred)


def _centred(
    values: NDArray[np.float64], known: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Deviations from the mean, 0 where unknown, and the variance below which it is constant.

    Centred sums keep their digits when the mean is large beside the spread.
    """
    filled = np.where(known, values, 0.0)
    mean = filled.sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    floor = np.square(CONSTANT_TOLERANCE * np.abs(filled).max(axis=0))
    return np.where(known, filled - mean, 0.0), floor


def _scores(sums: _Sums, counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean Pearson of every member in every resample [n_members, n_resamples]."""
    n, sx, sxx = sums.labels @ counts.T
    sy, syy, sxy = np.moveaxis(_product(sums.members, counts), 1, 0)
    size = np.maximum(n, 1.0)
    var_x = sxx / size - (sx / size) ** 2
    var_y = syy / size - (sy / size) ** 2
    cov = sxy / size - (sx / size) * (sy / size)
    # The second term covers what cancellation leaves of a resample of equal values.
    constant = var_x <= sums.floor_true[:, None] + 1e-12 * sxx / size
    constant = constant | (var_y <= sums.floor_pred[:, :, None] + 1e-12 * syy / size)
    r = np.clip(cov / np.sqrt(np.where(constant, 1.0, var_x * var_y)), -1.0, 1.0)
    known = n >= 2
    n_known = known.sum(axis=0)
    total = np.where(known & ~constant, r, 0.0).sum(axis=1)
    return np.where(n_known, total / np.maximum(n_known, 1), np.nan)


def _product(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """One large matrix product: NumPy would multiply a stack of matrices one by one."""
    flat = sums.reshape(-1, sums.shape[-1]) @ counts.T
    return flat.reshape(*sums.shape[:-1], len(counts))
