"""Which method, and how much of it: decided on folds that it was not fitted on.

The plain average is hard to beat with few rows, and a method that happened to win on four folds
often loses on the fifth. A method therefore replaces the average only where it beats it by far more
than the noise, and then by a share that grows with the evidence, from zero: near the border a
wrong decision costs next to nothing.
"""

import numpy as np

from models.arrays import Bools
from models.stack.folded import Array, Folded, Folds
from models.stack.methods import METHODS, average

MARGIN = 4.5
"""Standard errors by which a method must beat the plain average.

Tuned on simulated data sets of 72 to 12,000 rows (benchmarks/stack_choice.py). At 1 standard error
and without the share below, a third of those of 72 rows lost to the average, by up to 0.2. The
error counts rows as independent, which clips of one person are not quite; the simulated ones are
alike too (correlation 0.3), and the margin covers it.
"""

SHARPNESS = 6
"""The share is ``1 - (border / gain) ** SHARPNESS``: 0 at the border, 0.98 at twice the border.

The form is that of the non-negative garrote (Breiman 1995, Technometrics 37:373-384), with 2 there.
"""

FEW_ROWS = 12
"""The standard error holds for many rows; for n it is taken ``1 + FEW_ROWS / n`` times as large."""


def choose(data: Folded, folds: Folds) -> tuple[str, float]:
    """Choose between the plain average and the methods, by folds left out one at a time.

    Parameters
    ----------
    data : Folded
        Members and targets.
    folds : tuple of int
        The folds that may take part.

    Returns
    -------
    method : str
        A key of `METHODS`; one for all targets, since choosing per target gained nothing.
    share : float
        How much of its weights to take, above 0 and at most 1; the rest is the plain average's.
        0 for "average".
    """
    best, best_score, best_share = "average", 0.0, 0.0
    if len(folds) < 2:
        return best, best_share
    rows = data.rows(folds)
    base = _influence(data, rows, _predict_left_out("average", data, folds))
    for method in METHODS:
        r, influence = _influence(data, rows, _predict_left_out(method, data, folds))
        gain = float(np.mean(r - base[0]))
        noise = np.mean(influence - base[1], axis=1).std() / np.sqrt(len(influence))
        # Far below anything that matters, so that rounding is never a gain.
        border = max(MARGIN * float(noise), 1e-6)
        if gain - border > best_score:
            best, best_score = method, gain - border
            best_share = 1 - (border / gain) ** SHARPNESS
    return best, best_share


def fit_weights(data: Folded, folds: Folds, method: str, share: float = 1.0) -> Array:
    """Fit a method and mix it with the plain average.

    Returns
    -------
    array [n_targets, n_inputs]
        Scaled so that the combination varies as much as the plain average does.
    """
    fitted = _as_varied_as_average(data.fitted(METHODS[method], folds), data, folds)
    if method == "average":
        return fitted
    mixed = share * fitted + (1 - share) * data.fitted(average, folds)
    return _as_varied_as_average(mixed, data, folds)


def _as_varied_as_average(weights: Array, data: Folded, folds: Folds) -> Array:
    size, goal = data.sums(folds).products(weights)[1], data.fitted(_average_size, folds)
    factor = np.divide(goal, size, out=np.ones_like(size), where=(size > 0) & (goal > 0))
    scaled: Array = weights * np.sqrt(factor)[:, None]
    return scaled


def _average_size(data: Folded, folds: Folds) -> Array:
    return data.sums(folds).products(data.fitted(average, folds))[1]


def _predict_left_out(method: str, data: Folded, folds: Folds) -> Array:
    """Combine each of the folds with weights fitted on the others, centred [n_rows, n_targets]."""
    combined = np.zeros_like(data.centred)
    for out in folds:
        weights = fit_weights(data, tuple(fold for fold in folds if fold != out), method)
        rows = data.rows((out,))
        combined[rows] = data.inputs[rows] @ weights.T
    return data.center(combined, folds)


def _influence(data: Folded, rows: Bools, combined: Array) -> tuple[Array, Array]:
    """Correlation per target, and what each row contributes to it [n_rows, n_targets].

    For standardised x and y a row moves the correlation r by ``x y - r (x^2 + y^2) / 2`` over the
    number of rows (its influence function; Devlin et al. 1975, Biometrika 62:531-545), so the
    standard error of a difference of correlations is that of a mean.
    """
    x, y = combined[rows], data.centred[rows]
    n_labelled = np.maximum(data.labelled[rows].sum(axis=0), 1)
    sizes = [np.sqrt(np.square(values).sum(axis=0) / n_labelled) for values in (x, y)]
    x, y = (
        np.divide(values, size, out=np.zeros_like(values), where=size > 0)
        for values, size in zip((x, y), sizes, strict=True)
    )
    r = np.sum(x * y, axis=0) / n_labelled
    influence = (x * y - r * (x * x + y * y) / 2) * (len(x) / n_labelled)
    return r, influence * (1 + FEW_ROWS / n_labelled)
