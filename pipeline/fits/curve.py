"""Learning curves: what is fitted for them, how they are kept, and their table."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from models.evaluation.bootstrap import percentile_interval
from pipeline.clip_table import Rows
from pipeline.fits.result_cache import Arrays
from pipeline.params import Params

if TYPE_CHECKING:  # it imports scikit-learn, which what is kept needs not
    from models.evaluation.learning_curve import CurvePoint

CURVE_COLUMNS = [
    *("n_people", "n_rows", "n_fits", "mean_pearson", "ci95_low", "ci95_high"),
    *("lowest", "highest"),
]

SHARES = (1 / 8, 1 / 4, 1 / 2)
"""Of the people of Train, before all of them."""
N_REPEATS = 3

_N_DIGITS = 6


def curve_settings(rows: Rows, params: Params) -> dict[str, Any]:
    """Return the arguments of `Fitter.learning_curve` after the head.

    They are an eighth to all of the labelled people of Train, the number of repeats, and what the
    bootstrap takes.
    """
    labelled = np.isfinite(rows.y[: rows.n_train]).any(axis=1)
    n_people = len(set(rows.people[: rows.n_train][labelled]))
    fewer = {max(2, round(share * n_people)) for share in SHARES}
    return {
        "n_people": [*sorted(size for size in fewer if size < n_people), n_people],
        "n_repeats": N_REPEATS,
        "n_resamples": params.evaluation.n_resamples,
        "seed": params.seed,
    }


def curve_arrays(points: Iterable["CurvePoint"]) -> Arrays:
    """Return what is kept of a learning curve."""
    listed = list(points)
    return {
        "points": np.array(
            [(p.n_people, p.n_rows, p.score.mean_pearson) for p in listed], np.float64
        ),
        "resampled": np.array([p.score.resampled for p in listed]),
    }


def curve_table(arrays: Arrays) -> pd.DataFrame:
    """Return a learning curve as a table, one row per number of people.

    Parameters
    ----------
    arrays : dict
        From `curve_arrays`.

    Returns
    -------
    DataFrame
        `CURVE_COLUMNS`: people fitted on, their labelled clips (mean), number of fits, each on
        other people; mean Pearson over the fits, with its 95 % interval over the people of Val;
        the lowest and the highest fit.
    """
    points, resampled = arrays["points"], arrays["resampled"]
    table = []
    for n_people in np.unique(points[:, 0]):
        chosen = points[:, 0] == n_people
        score = points[chosen, 2]
        ends = percentile_interval(resampled[chosen].mean(axis=0))
        n_rows = round(float(points[chosen, 1].mean()))
        numbers = (score.mean(), ends.low, ends.high, score.min(), score.max())
        rounded = (round(float(number), _N_DIGITS) for number in numbers)
        table.append((int(n_people), n_rows, int(chosen.sum()), *rounded))
    return pd.DataFrame(table, columns=CURVE_COLUMNS)
