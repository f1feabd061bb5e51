"""Learning curves: a head on its view fitted on fewer people, and scored on Val."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.evaluation.bootstrap import percentile_interval
from models.evaluation.scores import Score, score_predictions
from pipeline.fit import FitTask, Fitting
from pipeline.params import Params
from pipeline.result_cache import digest_of, keep_result, load_result

CURVE_COLUMNS = [
    *("n_people", "n_rows", "n_fits", "mean_pearson", "ci95_low", "ci95_high"),
    *("lowest", "highest"),
]

SHARES = (1 / 8, 1 / 4, 1 / 2)
"""Of the people of Train, before all of them."""
N_REPEATS = 3

_N_DIGITS = 6


def learning_curve_table(fitting: Fitting, task: FitTask, params: Params) -> pd.DataFrame:
    """Fit a head on an eighth, a quarter and half of the people of Train, and score it on Val.

    All people are the last row: the fit that is on the leaderboard. What was fitted before comes
    from the cache.

    Parameters
    ----------
    fitting : Fitting
        Of the run's clips, of which some of Val have labels.
    task : FitTask
        The head and its view.
    params : Params
        Number of resamples and seed.

    Returns
    -------
    DataFrame
        `CURVE_COLUMNS`: people fitted on, their labelled clips (mean), number of fits, each on
        other people; mean Pearson over the fits, with its 95 % interval over the people of Val;
        the lowest and the highest fit.

    Raises
    ------
    DataError
        When the head cannot be fitted on so few people; also as `Fitting.fit`.
    """
    known = known_learning_curve(fitting, task, params)
    if known is not None:
        return known
    table = []
    for n_people, fits in _fit_all(fitting, task, params).items():
        n_rows = round(np.mean([n_rows for n_rows, _ in fits]))
        each = np.array([score.mean_pearson for _, score in fits])
        ends = percentile_interval(np.mean([score.resampled for _, score in fits], axis=0))
        numbers = (each.mean(), ends.low, ends.high, each.min(), each.max())
        table.append((n_people, n_rows, len(fits), *numbers))
    numbers_of_all = np.array(table, np.float64).round(_N_DIGITS)
    keep_result(_key(fitting, task, params), {"table": numbers_of_all})
    return _as_table(numbers_of_all)


def known_learning_curve(fitting: Fitting, task: FitTask, params: Params) -> pd.DataFrame | None:
    """Return what `learning_curve_table` made before, from the cache, or None."""
    arrays = load_result(_key(fitting, task, params))
    return None if arrays is None else _as_table(arrays["table"])


def _key(fitting: Fitting, task: FitTask, params: Params) -> str:
    settings = [SHARES, N_REPEATS, params.evaluation.n_resamples, params.seed]
    return digest_of(curve_of=fitting.key(task), settings=settings, columns=CURVE_COLUMNS)


def _as_table(numbers: NDArray[np.float64]) -> pd.DataFrame:
    counts = dict.fromkeys(("n_people", "n_rows", "n_fits"), int)
    return pd.DataFrame(numbers, columns=CURVE_COLUMNS).astype(counts)


def _fit_all(fitting: Fitting, task: FitTask, params: Params) -> dict[int, list[tuple[int, Score]]]:
    """Return by number of people the labelled clips and the score of each fit on so many."""
    from models.evaluation.learning_curve import learning_curve  # loads scikit-learn

    rows, resampling = fitting.rows, (params.evaluation.n_resamples, params.seed)
    whole, view, n = fitting.fit(task), fitting.view(task), rows.n_train
    people = rows.people[:n][view.labelled]
    n_people = len(set(people))
    val = (rows.clips["split"] == "Val").to_numpy(bool)
    held = (view.held_inputs[val[n:]], rows.y[val], rows.people[val])
    fewer = sorted({max(2, round(share * n_people)) for share in SHARES})
    points = learning_curve(
        task.make_head(),
        *(view.inputs, view.targets, view.groups, *held),
        *([size for size in fewer if size < n_people], N_REPEATS, *resampling),
    )
    found: dict[int, list[tuple[int, Score]]] = {}
    for point in points:
        found.setdefault(point.n_people, []).append((point.n_rows, point.score))
    predicted = whole.predictions[val][None]
    (last,) = score_predictions(rows.y[val], predicted, rows.people[val], *resampling)
    return found | {n_people: [(len(people), last)]}
