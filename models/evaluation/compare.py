"""Compare predictions of the same rows: scores, intervals, and how sure their order is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.arrays import Bools, Ints, as_targets, mean_of_known
from models.evaluation.bootstrap import (
    Interval,
    bootstrap_scores,
    percentile_interval,
    probability_better,
)
from models.metrics import constant_columns, foldwise_pearson, pearson

Array = NDArray[np.float64]


@dataclass(frozen=True)
class MemberScore:
    """The score of one member's predictions.

    Attributes
    ----------
    pearson : array of float64 [n_targets]
        Correlation of each target; NaN with fewer than two labelled rows.
    foldwise_pearson : array of float64 [n_targets], or None
        Mean of the correlations inside the folds; None where no folds were given.
    constant : array of bool [n_targets]
        Targets whose predictions do not vary (with folds: inside any fold).
    resampled : array of float64 [n_resamples]
        Mean Pearson of each person-wise resample; paired between members.
    """

    pearson: Array
    foldwise_pearson: Array | None
    constant: Bools
    resampled: Array

    @property
    def mean_pearson(self) -> float:
        """Mean over the targets that have a correlation; NaN without any."""
        return mean_of_known(self.pearson)

    @property
    def foldwise_mean_pearson(self) -> float | None:
        """Mean of `foldwise_pearson`; None where no folds were given."""
        return None if self.foldwise_pearson is None else mean_of_known(self.foldwise_pearson)

    @property
    def interval(self) -> Interval:
        """95 % interval of the mean Pearson over people."""
        return percentile_interval(self.resampled)


def score_members(
    y_true: ArrayLike,
    members: ArrayLike,
    groups: ArrayLike,
    n_resamples: int,
    seed: int,
    fold_of_row: Ints | None = None,
) -> list[MemberScore]:
    """Score the predictions of several members for the same rows.

    Scores of separate calls with equal labels, groups and seed stay comparable: the resamples are
    the same. So members may be added to a comparison one by one.

    Parameters
    ----------
    y_true : array [n_rows, n_targets]
        Labels; NaN where unlabelled, then left out.
    members : array [n_members, n_rows, n_targets]
        Predictions.
    groups : array [n_rows]
        The person of each row.
    n_resamples, seed : int
        Of the bootstrap over people.
    fold_of_row : array of int [n_rows], optional
        For out-of-fold predictions: the fold of each row.

    Raises
    ------
    ValueError
        When shapes differ or a labelled row has a NaN prediction.
    """
    true, predictions = as_targets(y_true, "y_true"), np.asarray(members, dtype=np.float64)
    resampled = bootstrap_scores(true, predictions, groups, n_resamples, seed)
    return [
        MemberScore(
            pearson=pearson(true, each),
            foldwise_pearson=(
                None if fold_of_row is None else foldwise_pearson(true, each, fold_of_row)
            ),
            constant=constant_columns(true, each, fold_of_row),
            resampled=scores,
        )
        for each, scores in zip(predictions, resampled, strict=True)
    ]


def best_first(scores: Sequence[MemberScore]) -> list[int]:
    """Return the numbers of the members by mean Pearson, the best first, unscored ones last."""
    means = np.array([score.mean_pearson for score in scores])
    return [int(number) for number in np.argsort(-means, kind="stable")]  # NaN sorts last


def better_than_best(scores: Sequence[MemberScore]) -> list[float]:
    """Probability of each member to be better than the best one, over resampled people.

    Returns
    -------
    list of float
        In the order of `scores`: the share of the resamples in which a member is above the one
        with the highest mean Pearson; ties count half. NaN for that one itself, and where it
        cannot be said (fewer than two people).
    """
    if not scores:
        return []
    best = scores[best_first(scores)[0]]
    return [
        float("nan") if score is best else probability_better(score.resampled, best.resampled)
        for score in scores
    ]
