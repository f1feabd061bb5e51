"""Learning curve: how the score on held-out rows grows with the number of people fitted on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from models.arrays import DataError, Floats, as_targets, check_same_rows, group_codes
from models.evaluation.scores import Score, score_predictions
from models.heads.base import Head


@dataclass(frozen=True)
class CurvePoint:
    """One fit of a learning curve.

    Attributes
    ----------
    n_people, n_rows : int
        People fitted on, and their labelled rows.
    repeat : int
        Number of the repeat, from 0; each draws people in an order of its own.
    score : Score
        On the held-out rows. Resamples of the held-out people are paired between all points: the
        mean over the repeats of a number of people has the interval of the mean of theirs.
    """

    n_people: int
    n_rows: int
    repeat: int
    score: Score


def learning_curve(
    head: Head,
    x: Floats,
    y: ArrayLike,
    groups: ArrayLike,
    x_held: Floats,
    y_held: ArrayLike,
    groups_held: ArrayLike,
    n_people: Sequence[int],
    n_repeats: int,
    n_resamples: int,
    seed: int,
) -> list[CurvePoint]:
    """Fit a head on more and more people and score it on the same held-out rows.

    Within a repeat each larger set of people contains the smaller ones, so a curve rises by what
    the added people bring, and not by which people were drawn.

    Parameters
    ----------
    head : Head
        Copied for every fit; the given one stays as it is.
    x, y, groups : array [n_rows, n_columns], [n_rows, n_targets], [n_rows]
        As in `Head.fit`. Rows without any label are left out.
    x_held, y_held, groups_held : array
        The same of rows of other people, as of Val.
    n_people : sequence of int
        Numbers of people to fit on.
    n_repeats : int
        How often people are drawn anew: the spread over repeats shows how much it matters who.
    n_resamples : int
        Of the bootstrap over held-out people.
    seed : int
        Seed of the draws and of the bootstrap. A repeat does not depend on the number of repeats.

    Returns
    -------
    list of CurvePoint
        One per repeat and number of people, in this order.

    Raises
    ------
    ValueError
        When lengths differ.
    DataError
        When a number of people is below 1 or above those labelled.
    """
    targets, held, codes = as_targets(y), as_targets(y_held, "y_held"), group_codes(groups)
    check_same_rows(x=x, y=targets, groups=codes)
    check_same_rows(x_held=x_held, y_held=held)
    labelled = np.flatnonzero(~np.isnan(targets).all(axis=1))
    people = np.unique(codes[labelled])
    wrong = [number for number in n_people if not 1 <= number <= len(people)]
    if wrong:
        raise DataError(
            f"n_people holds {wrong}; expected numbers from 1 to {len(people)}, "
            "as many people as are labelled."
        )
    points = []
    for repeat in range(n_repeats):
        order = np.random.default_rng([seed, repeat]).permutation(people)
        for number in n_people:
            rows = labelled[np.isin(codes[labelled], order[:number])]
            fitted = clone(head).fit(x[rows], targets[rows], groups=codes[rows])
            predicted = fitted.predict(x_held)[None]
            (score,) = score_predictions(held, predicted, groups_held, n_resamples, seed)
            points.append(CurvePoint(number, len(rows), repeat, score))
    return points
