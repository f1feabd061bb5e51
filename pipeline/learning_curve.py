"""Learning curves: a head on its view fitted on fewer people, and scored on Val."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.evaluation.bootstrap import percentile_interval
from models.evaluation.scores import score_predictions
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
    arrays = _fit_all(fitting, task, params)
    keep_result(_key(fitting, task, params), arrays)
    return _as_table(**arrays)


def known_learning_curve(fitting: Fitting, task: FitTask, params: Params) -> pd.DataFrame | None:
    """Return what `learning_curve_table` made before, from the cache, or None."""
    arrays = load_result(_key(fitting, task, params))
    return None if arrays is None else _as_table(**arrays)


def _key(fitting: Fitting, task: FitTask, params: Params) -> str:
    settings = [SHARES, N_REPEATS, params.evaluation.n_resamples, params.seed]
    return digest_of(curve_of=fitting.key(task), settings=settings)


def _fit_all(fitting: Fitting, task: FitTask, params: Params) -> dict[str, NDArray[Any]]:
    """Return the points (n_people, n_rows, mean Pearson) and the resampled scores of all fits."""
    from models.evaluation.learning_curve import learning_curve  # loads scikit-learn

    rows, resampling = fitting.rows, (params.evaluation.n_resamples, params.seed)
    whole, view, n = fitting.fit(task), fitting.view(task), rows.n_train
    people = rows.people[:n][view.labelled]
    n_people = len(set(people))
    val = (rows.clips["split"] == "Val").to_numpy(bool)
    held = (view.held_inputs[val[n:]], rows.y[val], rows.people[val])
    fewer = sorted({max(2, round(share * n_people)) for share in SHARES} - {n_people})
    points = learning_curve(
        task.make_head(),
        *(view.inputs, view.targets, view.groups, *held),
        *([size for size in fewer if size < n_people], N_REPEATS, *resampling),
    )
    predicted = whole.predictions[val]
    (last,) = score_predictions(rows.y[val], predicted[None], rows.people[val], *resampling)
    sizes = [*((p.n_people, p.n_rows) for p in points), (n_people, len(people))]
    scores = [*(p.score for p in points), last]
    numbers = [(*size, each.mean_pearson) for size, each in zip(sizes, scores, strict=True)]
    return {"points": np.array(numbers), "resampled": np.array([s.resampled for s in scores])}


def _as_table(points: NDArray[np.float64], resampled: NDArray[np.float64]) -> pd.DataFrame:
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
