"""Second tables of a comparison: by slices of the rows, and by the number of people fitted on."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.metrics import mean_pearson
from models.slices import scored_slices, slice_rows
from pipeline.compare.plan import Plan
from pipeline.fits.jobs import Fit

SLICE_COLUMNS = ["slice", "n_rows", "n_people", "name", "mean_pearson"]
CURVE_COLUMNS = ["n_people", "n_rows", "repeat", "mean_pearson"]

SHARES = (1 / 8, 1 / 4, 1 / 2)
"""Of the people of Train, before all of them."""
N_REPEATS = 3


def slice_table(fits: Mapping[str, Fit], plan: Plan, column: str) -> pd.DataFrame:
    """Score fits inside the slices of a column.

    Parameters
    ----------
    fits : mapping of str to Fit
        By name, in the order wanted.
    plan : Plan
        Which rows are scored.
    column : str
        Of the clip table. Its bands of numbers are cut over all clips, as `models.slices` does.

    Returns
    -------
    DataFrame
        `SLICE_COLUMNS`: one row per slice and fit. ``n_rows`` and ``n_people`` count the labelled
        clips of the slice and their people.
    """
    values = plan.rows.clips[column].astype(object)
    slices = slice_rows(values.where(values.notna(), None).to_numpy())
    part = {name: marked[plan.scored] for name, marked in slices.items()}
    y, people = plan.rows.y[plan.scored], plan.rows.people[plan.scored]
    found = []
    for slice_name, rows in scored_slices(y, people, part).items():
        size = int(rows.sum()), len(set(people[rows]))
        for name, fit in fits.items():
            score = mean_pearson(y[rows], fit.predictions[plan.scored][rows])
            found.append((slice_name, *size, name, score))
    return pd.DataFrame(found, columns=SLICE_COLUMNS)


def curve_settings(plan: Plan) -> dict[str, Any]:
    """Return the arguments of `Fitter.learning_curve` after the head.

    They are an eighth to all of the labelled people of Train, the number of repeats, and the seed.
    """
    rows = plan.rows
    labelled = np.isfinite(rows.y[: rows.n_train]).any(axis=1)
    n_people = len(set(rows.people[: rows.n_train][labelled]))
    fewer = {max(2, round(share * n_people)) for share in SHARES}
    sizes = [*sorted(size for size in fewer if size < n_people), n_people]
    return {"n_people": sizes, "n_repeats": N_REPEATS, "seed": plan.params.seed}


def curve_table(points: NDArray[np.float64]) -> pd.DataFrame:
    """Return the points (n_points, 4) of `Fitter.learning_curve` as a table, `CURVE_COLUMNS`."""
    table = pd.DataFrame(points, columns=CURVE_COLUMNS)
    return table.astype(dict.fromkeys(CURVE_COLUMNS[:-1], int))
