"""Person-wise bootstrap of the mean Pearson, from sums per person.

Clips of one person are alike, so people are drawn, not clips. A resample only changes how often
each person counts; six sums per person and target are therefore enough for every resample at once.
Three of them are of the labels alone, and the counts are the same for all: many predictions of the
same rows cost little more than one. Out of fold, people are drawn inside each fold, and each fold
has a correlation of its own, as in `models.metrics.pearson`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from models.arrays import Bools, Floats64, Ints, Numbers, as_targets, check_same_rows, group_codes
from models.metrics import CONSTANT_TOLERANCE, check_predictions, rows_of_folds

_Sums = tuple[Floats64, Floats64, Floats64, Floats64]

RESAMPLES_AT_ONCE = 256
"""Keeps memory small with thousands of people, and matrix products large."""

TIE = 1e-9
"""Scores that differ by no more than this differ by rounding."""


@dataclass(frozen=True)
class Interval:
    """Both ends of a 95 % confidence interval; NaN where it cannot be said."""

    low: float
    high: float


def bootstrap_scores(
    y_true: ArrayLike,
    predictions: ArrayLike,
    groups: ArrayLike,
    n_resamples: int,
    seed: int,
    fold_of_row: Ints | None = None,
) -> Floats64:
    """Mean Pearson of every resample of the people, for one or many predictions.

    Scores follow `models.metrics`: in each resample a constant target or prediction counts as 0,
    and a target with fewer than two labelled rows, in the resample or in all, is left out.

    Parameters
    ----------
    y_true : array [n_rows, n_targets]
        Labels; NaN where unlabelled, then left out.
    predictions : array [n_members, n_rows, n_targets] or [n_rows, n_targets]
        Predictions of the same rows by several members, or one.
    groups : array [n_rows]
        The person of each row.
    n_resamples : int
        Number of resamples; 2,000 give steady ends of a 95 % interval.
    seed : int
        Equal groups, folds, labelled rows and seed give the same resamples for every prediction,
        also in separate calls: the scores of two members are paired.
    fold_of_row : array of int [n_rows], optional
        The fold of each row, for out-of-fold predictions.

    Returns
    -------
    array of float64 [n_members, n_resamples] or [n_resamples]
        All NaN when no fold has two labelled people: one person tells nothing of how people differ.

    Raises
    ------
    ValueError
        When shapes differ or a labelled row has a NaN prediction.
    """
    true, given = as_targets(y_true, "y_true"), np.asarray(predictions, dtype=np.float64)
    members = given if given.ndim == 3 else given[None]
    codes = group_codes(groups)
    check_same_rows(y_true=true, groups=codes)
    checked = [check_predictions(true, member, fold_of_row)[0] for member in members]
    if any(not np.array_equal(each, checked[0], equal_nan=True) for each in checked):
        # They cannot be said of the same rows.
        alone = (groups, n_resamples, seed, fold_of_row)
        return np.stack([bootstrap_scores(true, member, *alone) for member in members])
    true = checked[0] if checked else true
    labelled = ~np.isnan(true).all(axis=1)
    shape = len(members), true.shape[1], n_resamples
    total, n_folds, can_differ = np.zeros(shape), np.zeros(shape), False
    generator = np.random.default_rng(seed)
    for fold in rows_of_folds(len(true), fold_of_row):
        rows = np.flatnonzero(fold & labelled)
        if not len(rows):
            continue
        people = group_codes(codes[rows])
        n_people = int(people.max()) + 1
        can_differ = can_differ or n_people > 1
        sums = _sums_by_person(true, members, rows, people)
        place = 0
        for counts in resample_counts(n_people, n_resamples, generator):
            r = _correlations(sums, counts)
            block = slice(place, place := place + len(counts))
            total[..., block] += np.nan_to_num(r)
            n_folds[..., block] += ~np.isnan(r)
    by_target = np.divide(total, n_folds, out=np.full(shape, np.nan), where=n_folds > 0)
    known = ~np.isnan(by_target)
    n_known = known.sum(axis=1)
    scores = np.where(n_known, np.nansum(by_target, axis=1) / np.maximum(n_known, 1), np.nan)
    scores = scores if can_differ else np.full_like(scores, np.nan)
    return scores if given.ndim == 3 else scores[0]


def resample_counts(
    n_groups: int, n_resamples: int, generator: np.random.Generator
) -> Iterator[Floats64]:
    """Yield how often each group is drawn, with replacement [up to RESAMPLES_AT_ONCE, n_groups]."""
    for start in range(0, n_resamples, RESAMPLES_AT_ONCE):
        n = min(RESAMPLES_AT_ONCE, n_resamples - start)
        draws = generator.integers(n_groups, size=(n, n_groups)) + np.arange(n)[:, None] * n_groups
        counts = np.bincount(draws.ravel(), minlength=n * n_groups)
        yield counts.reshape(n, n_groups).astype(np.float64)


def percentile_interval(scores: Floats64) -> Interval:
    """Interval that holds 95 % of the scores of resamples [n_resamples], but those that are NaN.

    Of the difference of two members' scores, it is the interval of that difference.
    """
    known = scores[~np.isnan(scores)]
    if not len(known):
        return Interval(float("nan"), float("nan"))
    low, high = np.quantile(known, [0.025, 0.975])
    return Interval(float(low), float(high))


def probability_better(scores_a: Floats64, scores_b: Floats64) -> float:
    """Share of the resamples in which a scores above b; ties count half, NaN not at all."""
    difference = scores_a - scores_b
    difference = difference[~np.isnan(difference)]
    if not len(difference):
        return float("nan")
    ties = np.abs(difference) <= TIE
    return float((np.where(ties, 0.5, difference > 0)).mean())


def _sums_by_person(true: Floats64, members: Floats64, rows: Numbers, people: Ints) -> _Sums:
    """Return sums per person over centred values; x are labels, y predictions.

    First n, x, x x [3, n_targets, n_people], then y, y y, x y [n_members, 3, n_targets, n_people];
    last, the variances below which labels [n_targets] and predictions [n_members, n_targets] are
    constant.
    """
    order = np.argsort(people, kind="stable")
    rows = rows[order]
    starts = np.flatnonzero(np.diff(people[order], prepend=-1))
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
    return np.stack(labels), sums, floor_true, floor_pred


def _centred(values: Floats64, known: Bools) -> tuple[Floats64, Floats64]:
    """Deviations from the mean, 0 where unknown, and the variance below which it is constant.

    Centred sums keep their digits when the mean is large beside the spread.
    """
    filled = np.where(known, values, 0.0)
    mean = filled.sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    floor = np.square(CONSTANT_TOLERANCE * np.abs(filled).max(axis=0))
    return np.where(known, filled - mean, 0.0), floor


def _correlations(sums: _Sums, counts: Floats64) -> Floats64:
    """Correlation of every member and target in every resample; NaN below two labelled rows.

    `counts` is [n_resamples, n_people], the result [n_members, n_targets, n_resamples].
    """
    labels, members, floor_true, floor_pred = sums
    n, sx, sxx = labels @ counts.T
    # One large product: NumPy would multiply a stack of matrices one by one.
    products = members.reshape(-1, counts.shape[1]) @ counts.T
    sy, syy, sxy = np.moveaxis(products.reshape(*members.shape[:-1], len(counts)), 1, 0)
    size = np.maximum(n, 1.0)
    var_x = sxx / size - (sx / size) ** 2
    var_y = syy / size - (sy / size) ** 2
    cov = sxy / size - (sx / size) * (sy / size)
    # The second term covers what cancellation leaves of a resample of equal values.
    constant = var_x <= floor_true[:, None] + 1e-12 * sxx / size
    constant = constant | (var_y <= floor_pred[:, :, None] + 1e-12 * syy / size)
    size = np.sqrt(np.where(constant, 1.0, var_x)) * np.sqrt(np.where(constant, 1.0, var_y))
    r = np.clip(cov / size, -1.0, 1.0)
    return np.where(n >= 2, np.where(constant, 0.0, r), np.nan)
