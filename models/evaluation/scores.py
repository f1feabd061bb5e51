"""A score with its interval, for many predictions of the same rows, and what differs between them.

`Score` is the one noun for how good predictions are: of a head, of the stack or of a baseline, on a
split or out of fold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.arrays import Bools, Ints, as_targets, mean_of_known
from models.evaluation.bootstrap import (
    Interval,
    bootstrap_scores,
    percentile_interval,
    probability_better,
)
from models.metrics import constant_columns, pearson

Array = NDArray[np.float64]
Subset = tuple[str, ...]


@dataclass(frozen=True, repr=False)
class Score:
    """How good some predictions are.

    Attributes
    ----------
    pearson : array of float64 [n_targets]
        Correlation of each target; out of fold, the mean of the correlations inside the folds. NaN
        with fewer than two labelled rows.
    pooled_pearson : array of float64 [n_targets]
        The correlation over all rows at once: the same, but for predictions out of fold.
    constant : array of bool [n_targets]
        Targets whose predictions do not vary (out of fold: inside any fold).
    resampled : array of float64 [n_resamples]
        Mean Pearson of each person-wise resample; paired between predictions of the same rows.
    """

    pearson: Array
    pooled_pearson: Array
    constant: Bools
    resampled: Array

    def __post_init__(self) -> None:
        shapes = self.pearson.shape, self.pooled_pearson.shape, self.constant.shape
        if len(set(shapes)) > 1 or self.pearson.ndim != 1 or self.resampled.ndim != 1:
            raise ValueError(
                f"pearson, pooled_pearson and constant have shapes {shapes}, resampled "
                f"{self.resampled.shape}; expected [n_targets] thrice, and [n_resamples]."
            )

    def __repr__(self) -> str:
        return (
            f"Score(mean_pearson={self.mean_pearson:.4f}, {len(self.pearson)} targets, "
            f"{len(self.resampled)} resamples)"
        )

    @property
    def mean_pearson(self) -> float:
        """Mean over the targets that have a correlation; NaN without any."""
        return mean_of_known(self.pearson)

    @property
    def pooled_mean_pearson(self) -> float:
        """Mean of `pooled_pearson`."""
        return mean_of_known(self.pooled_pearson)

    @property
    def interval(self) -> Interval:
        """95 % interval of the mean Pearson over people."""
        return percentile_interval(self.resampled)


@dataclass(frozen=True)
class Difference:
    """How much better one of two scores of the same rows is.

    Attributes
    ----------
    gain : float
        Difference of the mean Pearson; NaN without a score.
    interval : Interval
        95 % interval of the difference over resampled people, the same ones for both.
    p_better : float
        Share of the resamples in which the score is higher; ties count half.
    """

    gain: float
    interval: Interval
    p_better: float


def score_predictions(
    y_true: ArrayLike,
    predictions: ArrayLike,
    groups: ArrayLike,
    n_resamples: int,
    seed: int,
    fold_of_row: Ints | None = None,
) -> list[Score]:
    """Score several predictions of the same rows.

    Scores of separate calls with equal labels, groups, folds and seed stay comparable: the
    resamples are the same. So predictions may be added to a comparison one by one.

    Parameters
    ----------
    y_true : array [n_rows, n_targets]
        Labels; NaN where unlabelled, then left out.
    predictions : array [n_members, n_rows, n_targets]
        What is scored: of heads, the stack and baselines alike.
    groups : array [n_rows]
        The person of each row.
    n_resamples, seed : int
        Of the bootstrap over people.
    fold_of_row : array of int [n_rows], optional
        The fold of each row, for out-of-fold predictions.

    Raises
    ------
    ValueError
        When shapes differ or a labelled row has a NaN prediction.
    """
    true, members = as_targets(y_true, "y_true"), np.asarray(predictions, dtype=np.float64)
    resampled = bootstrap_scores(true, members, groups, n_resamples, seed, fold_of_row)
    return [
        Score(
            pearson=pearson(true, each, fold_of_row),
            pooled_pearson=pearson(true, each),
            constant=constant_columns(true, each, fold_of_row),
            resampled=scores,
        )
        for each, scores in zip(members, resampled, strict=True)
    ]


def best_first(scores: Sequence[Score]) -> list[int]:
    """Return the numbers of the scores by mean Pearson, the best first, unscored ones last."""
    means = np.array([score.mean_pearson for score in scores])
    return [int(number) for number in np.argsort(-means, kind="stable")]  # NaN sorts last


def better_than_best(scores: Sequence[Score]) -> list[float]:
    """Probability of each to be better than the best one, over resampled people.

    Returns
    -------
    list of float
        In the order of `scores`: the share of the resamples in which one is above the one with the
        highest mean Pearson; ties count half. NaN for that one itself, and where it cannot be said
        (fewer than two people).
    """
    if not scores:
        return []
    best = scores[best_first(scores)[0]]
    return [
        float("nan") if score is best else probability_better(score.resampled, best.resampled)
        for score in scores
    ]


def difference(score: Score, other: Score) -> Difference:
    """Compare a score with another one of the same rows, people and seed."""
    return Difference(
        gain=score.mean_pearson - other.mean_pearson,
        interval=percentile_interval(score.resampled - other.resampled),
        p_better=probability_better(score.resampled, other.resampled),
    )


def subsets(parts: Sequence[str]) -> list[Subset]:
    """Return every subset of the parts but the empty one: small ones first, parts in their order.

    Examples
    --------
    >>> subsets(["face", "voice"])
    [('face',), ('voice',), ('face', 'voice')]
    """
    sizes = range(1, len(parts) + 1)
    return [subset for size in sizes for subset in combinations(parts, size)]


def gains(scores: Mapping[Subset, Score]) -> dict[tuple[str, Subset], Difference]:
    """Return what each part adds to each subset that lacks it.

    Parameters
    ----------
    scores : mapping of tuple of str to Score
        By subset, as `subsets` gives them, of the same rows and resamples. A pair of which one is
        missing, such as a subset whose fit failed, has no gain.

    Returns
    -------
    dict
        By ``(part, to)``: what is added, and the parts that are there already. Part by part, in the
        order of the subsets.
    """
    parts = dict.fromkeys(part for subset in scores for part in subset)
    found = {}
    for part in parts:
        for both, score in scores.items():
            to = tuple(other for other in both if other != part)
            if part in both and to in scores:
                found[part, to] = difference(score, scores[to])
    return found
