"""Pearson correlation per target, over all rows or fold by fold, and its mean over targets.

The challenge's metric is the plain mean over a whole split (`official_mean_pearson`), NaN as soon
as one column is constant. In `pearson` a constant column scores 0.0: it says nothing of the target;
`constant_columns` tells such a 0.0 from a low score.
"""

import numpy as np
from numpy.typing import ArrayLike

from models.arrays import Bools, Floats64, Ints, as_targets, check_same_rows, mean_of_known

CONSTANT_TOLERANCE = 1e-9
"""Values whose standard deviation is below this share of their largest size are constant."""


def pearson(y_true: ArrayLike, y_pred: ArrayLike, fold_of_row: Ints | None = None) -> Floats64:
    """Pearson correlation of each target over the rows labelled for it.

    Out-of-fold predictions come from models whose means differ. A row's fold mean leans away from
    the row's own label, since the row was left out of it, so the correlation over all rows is
    biased downwards: even the mean predictor scores below zero. The mean of the correlations inside
    each fold is not; it is given where the folds are.

    Parameters
    ----------
    y_true, y_pred : array [n_rows, n_targets]
        Labels (NaN = unlabelled, left out) and predictions.
    fold_of_row : array of int [n_rows], optional
        The fold of each row, for out-of-fold predictions.

    Returns
    -------
    array of float64 [n_targets]
        Correlations; 0.0 where labels or predictions are constant (the official metric gives NaN
        there), NaN where fewer than two rows are labelled, or nothing is predicted. With folds: the
        mean over the folds that have two labelled rows for the target, NaN without such a fold.

    Raises
    ------
    ValueError
        When shapes differ or a labelled row has a NaN prediction.
    """
    true, pred = check_predictions(y_true, y_pred, fold_of_row)
    parts = [
        [_pearson_of(t, p) for t, p in zip(true[rows].T, pred[rows].T, strict=True)]
        for rows in rows_of_folds(len(true), fold_of_row)
    ]
    return np.array([mean_of_known(column) for column in np.array(parts).T])


def mean_pearson(y_true: ArrayLike, y_pred: ArrayLike, fold_of_row: Ints | None = None) -> float:
    """Mean of `pearson` over the targets that have a correlation; NaN without any.

    Examples
    --------
    Two targets of four clips; the second one's prediction does not vary:

    >>> y_true = [[0.1, 0.0], [0.4, 0.3], [0.2, 0.9], [0.9, 0.5]]
    >>> y_pred = [[0.2, 0.5], [0.3, 0.5], [0.1, 0.5], [0.6, 0.5]]
    >>> pearson(y_true, y_pred).round(3)
    array([0.954, 0.   ])
    >>> round(mean_pearson(y_true, y_pred), 3)
    0.477
    """
    return mean_of_known(pearson(y_true, y_pred, fold_of_row))


def official_pearson(y_true: ArrayLike, y_pred: ArrayLike) -> Floats64:
    """Pearson correlation of each target over all rows, as the challenge computes it [n_targets].

    Equal to `pearson`, but NaN where labels or predictions are constant (up to rounding, whose
    correlation would be noise) or a row is unlabelled.
    """
    true, pred = check_predictions(y_true, y_pred)
    defined = [
        not (np.isnan(t).any() or _is_constant(t) or _is_constant(p))
        for t, p in zip(true.T, pred.T, strict=True)
    ]
    return np.where(defined, pearson(true, pred), np.nan)


def official_mean_pearson(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Plain mean of `official_pearson` over all targets: the challenge's score.

    NaN as soon as one target has none; `mean_pearson` counts 0.0 for a constant target instead.
    """
    return float(official_pearson(y_true, y_pred).mean())


def constant_columns(
    y_true: ArrayLike, y_pred: ArrayLike, fold_of_row: Ints | None = None
) -> Bools:
    """Tell of which targets `pearson` is 0.0 because predictions do not vary [n_targets].

    Over labelled rows, of which there are two at least; with folds, inside every fold: their models
    give different constants.
    """
    true, pred = check_predictions(y_true, y_pred, fold_of_row)
    constant = (~np.isnan(true)).sum(axis=0) >= 2
    for rows in rows_of_folds(len(true), fold_of_row):
        for number, (t, p) in enumerate(zip(true[rows].T, pred[rows].T, strict=True)):
            known = ~np.isnan(t)
            constant[number] &= not known.any() or _is_constant(p[known])
    return np.asarray(constant, dtype=np.bool_)


def rows_of_folds(n_rows: int, fold_of_row: Ints | None) -> list[Bools]:
    """Mark the rows of each fold [n_rows]; without folds, all rows are one."""
    fold = np.zeros(n_rows, np.int64) if fold_of_row is None else np.asarray(fold_of_row)
    check_same_rows(y_true=np.empty(n_rows), fold_of_row=fold)
    return [fold == each for each in np.unique(fold)] if n_rows else [np.zeros(0, np.bool_)]


def check_predictions(
    y_true: ArrayLike, y_pred: ArrayLike, fold_of_row: Ints | None = None
) -> tuple[Floats64, Floats64]:
    """Return labels and predictions as float64 [n_rows, n_targets].

    Labels that nothing is predicted beside in all of their fold, since nobody outside it is
    labelled, become NaN: no score can be said there.

    Raises
    ------
    ValueError
        When shapes differ or a labelled row has a NaN prediction where others of its fold have one.
    """
    true, pred = as_targets(y_true, "y_true"), as_targets(y_pred, "y_pred")
    if true.shape != pred.shape:
        raise ValueError(
            f"y_true has shape {true.shape} and y_pred {pred.shape}; expected equal shapes."
        )
    missing = np.isnan(pred) & ~np.isnan(true)
    if missing.any():
        true = true.copy()
        for rows in rows_of_folds(len(true), fold_of_row):
            unsaid = (missing[rows] | np.isnan(true[rows])).all(axis=0)
            missing[np.ix_(rows, unsaid)], true[np.ix_(rows, unsaid)] = False, np.nan
        if missing.any():
            raise ValueError(
                f"{int(missing.any(axis=1).sum())} labelled rows have a NaN prediction; every row "
                "needs one, so that no score covers a subset only."
            )
    return true, pred


def _pearson_of(true: Floats64, pred: Floats64) -> float:
    labelled = ~np.isnan(true)
    if labelled.sum() < 2:
        return float("nan")
    true, pred = true[labelled], pred[labelled]
    if _is_constant(true) or _is_constant(pred):
        return 0.0
    true, pred = true - true.mean(), pred - pred.mean()
    r = true @ pred / (np.linalg.norm(true) * np.linalg.norm(pred))
    return float(np.clip(r, -1.0, 1.0))


def _is_constant(values: Floats64) -> bool:
    return not len(values) or bool(values.std() <= CONSTANT_TOLERANCE * np.abs(values).max())
