"""Scores with their intervals, of predictions of the same rows, and what differs between them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from models.arrays import Bools, Floats64, Ints, mean_of_known
from models.evaluation.bootstrap import (
    Interval,
    bootstrap_scores,
    percentile_interval,
    probability_better,
)
from models.metrics import check_predictions, constant_columns, mean_pearson, pearson


@dataclass(frozen=True, repr=False)
class Score:
    """How good some predictions are: of a head, of the stack or of a baseline.

    Attributes
    ----------
    pearson : array of float64 [n_targets]
        As `models.metrics.pearson` gives it.
    pooled_mean_pearson : float
        Mean of the correlations over all rows at once: `mean_pearson`, but for predictions out of
        fold.
    constant : array of bool [n_targets]
        As `models.metrics.constant_columns` gives it.
    resampled : array of float64 [n_resamples]
        Mean Pearson of each person-wise resample; paired between predictions of the same rows.
    """

    pearson: Floats64
    pooled_mean_pearson: float
    constant: Bools
    resampled: Floats64

    def __post_init__(self) -> None:
        shapes = self.pearson.shape, self.constant.shape, self.resampled.shape
        if shapes[0] != shapes[1] or {len(shape) for shape in shapes} != {1}:
            raise ValueError(
                f"pearson, constant and resampled have shapes {shapes}; expected [n_targets] "
                "twice, and [n_resamples]."
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
        See `probability_better`.
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
    """Score several predictions of the same rows: of heads, the stack and baselines alike.

    Scores of separate calls with equal labels, groups, folds and seed stay comparable: the
    resamples are the same. So predictions may be added to a comparison one by one.

    Arguments and errors are those of `bootstrap_scores`.
    """
    members = np.asarray(predictions, dtype=np.float64)
    resampled = bootstrap_scores(y_true, members, groups, n_resamples, seed, fold_of_row)
    scores = []
    for member, own in zip(members, resampled, strict=True):
        true, pred = check_predictions(y_true, member, fold_of_row)
        constant = constant_columns(true, pred, fold_of_row)
        by_target = pearson(true, pred, fold_of_row)
        scores.append(Score(by_target, mean_pearson(true, pred), constant, own))
    return scores


def best_first(scores: Sequence[Score]) -> list[int]:
    """Return the numbers of the scores by mean Pearson, the best first, unscored ones last."""
    means = np.array([score.mean_pearson for score in scores])
    return [int(number) for number in np.argsort(-means, kind="stable")]  # NaN sorts last


def better_than_best(scores: Sequence[Score]) -> list[float]:
    """Probability of each to be better than the best one, over resampled people.

    In the order of `scores`, as `probability_better` counts; NaN for the best one itself.
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
