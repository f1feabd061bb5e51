"""Person-wise bootstrap of the mean Pearson, from sums per group.

Clips of one person are alike, so people are drawn, not clips. A resample only changes how often
each group counts; six sums per group and target are therefore enough for every resample at once.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.arrays import Ints, as_targets, check_same_rows, group_codes
from models.metrics import CONSTANT_TOLERANCE


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
    """Percentile interval of the mean Pearson over resampled groups.

    Parameters
    ----------
    y_true, y_pred : array [n_rows, n_targets]
        Labels (NaN = unlabelled, left out) and predictions.
    groups : array [n_rows]
        The person of each row.
    n_resamples : int
        Number of resamples; 2,000 give steady ends of a 95 % interval.
    seed : int
        Seed of the resampling. Equal groups and seed give the same resamples for every
        prediction, which makes comparisons paired.
    level : float
        Coverage, between 0 and 1.

    Returns
    -------
    Interval
        Both ends are NaN when fewer than two groups are labelled: one person tells nothing of
        how people differ.
    """
    scores = bootstrap_scores(y_true, y_pred, groups, n_resamples, seed)
    known = scores[~np.isnan(scores)]
    if not len(known):
        return Interval(float("nan"), float("nan"))
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def bootstrap_scores(
    y_true: ArrayLike, y_pred: ArrayLike, groups: ArrayLike, n_resamples: int, seed: int
) -> NDArray[np.float64]:
    """Mean Pearson of every resample of the groups.

    Scores follow `models.metrics`: in each resample a constant target or prediction counts as 0
    and a target with fewer than two labelled rows is left out.

    Returns
    -------
    array of float64 [n_resamples]
        Mean Pearson of each resample; all NaN when fewer than two groups are labelled.
    """
    true, pred = as_targets(y_true, "y_true"), as_targets(y_pred, "y_pred")
    codes = group_codes(groups)
    check_same_rows(y_true=true, y_pred=pred, groups=codes)
    labelled = ~np.isnan(true).all(axis=1)
    true, pred, codes = true[labelled], pred[labelled], group_codes(codes[labelled])
    n_groups = int(codes.max()) + 1 if len(codes) else 0
    if n_groups < 2:
        return np.full(n_resamples, np.nan)
    counts = resample_counts(n_groups, n_resamples, seed)
    scores = np.stack(
        [_target_scores(t, p, codes, counts) for t, p in zip(true.T, pred.T, strict=True)]
    )
    n_known = (~np.isnan(scores)).sum(axis=0)
    return np.where(n_known, np.nansum(scores, axis=0) / np.maximum(n_known, 1), np.nan)


def resample_counts(n_groups: int, n_resamples: int, seed: int) -> NDArray[np.float64]:
    """How often each group is drawn in each resample, with replacement [n_resamples, n_groups]."""
    draws = np.random.default_rng(seed).integers(n_groups, size=(n_resamples, n_groups))
    draws += np.arange(n_resamples)[:, None] * n_groups
    counts = np.bincount(draws.ravel(), minlength=n_resamples * n_groups)
    return counts.reshape(n_resamples, n_groups).astype(np.float64)


def _target_scores(
    true: NDArray[np.float64],
    pred: NDArray[np.float64],
    codes: Ints,
    counts: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Pearson of one target in every resample [n_resamples]."""
    labelled = ~np.isnan(true)
    x, y, codes = true[labelled], pred[labelled], codes[labelled]
    if len(x) < 2:
        return np.full(len(counts), np.nan)
    floor_x, floor_y = ((CONSTANT_TOLERANCE * np.abs(v).max()) ** 2 for v in (x, y))
    # Centred sums keep their digits when the mean is large beside the spread.
    x, y = x - x.mean(), y - y.mean()
    terms = (np.ones_like(x), x, y, x * x, y * y, x * y)
    sums = np.stack([np.bincount(codes, term, minlength=counts.shape[1]) for term in terms])
    n, sx, sy, sxx, syy, sxy = sums @ counts.T
    size = np.maximum(n, 1.0)
    var_x = sxx / size - (sx / size) ** 2
    var_y = syy / size - (sy / size) ** 2
    cov = sxy / size - (sx / size) * (sy / size)
    # The second term covers what cancellation leaves of a resample of equal values.
    constant = (var_x <= floor_x + 1e-12 * sxx / size) | (var_y <= floor_y + 1e-12 * syy / size)
    r = cov / np.sqrt(np.where(constant, 1.0, var_x * var_y))
    return np.where(n < 2, np.nan, np.where(constant, 0.0, np.clip(r, -1.0, 1.0)))
