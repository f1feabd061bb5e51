"""Scores of a comparison by slices of the rows."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from models.evaluation.slices import scored_slices, slice_rows
from models.metrics import mean_pearson
from pipeline.clip_table import column_values
from pipeline.compare.plan import Plan
from pipeline.fits.jobs import Fit

SLICE_COLUMNS = ["slice", "n_rows", "n_people", "name", "mean_pearson"]


def slice_table(fits: Mapping[str, Fit], plan: Plan, column: str) -> pd.DataFrame:
    """Score fits inside the slices of a column.

    Parameters
    ----------
    fits : mapping of str to Fit
        By name, in the order wanted.
    plan : Plan
        Which rows are scored.
    column : str
        Of the clip table. Its bands of numbers are cut over all clips, as in
        `models.evaluation.slices`.

    Returns
    -------
    DataFrame
        `SLICE_COLUMNS`: one row per slice and fit. ``n_rows`` and ``n_people`` count the labelled
        clips of the slice and their people.
    """
    slices = slice_rows(column_values(plan.rows.clips[column]))
    part = {name: marked[plan.scored] for name, marked in slices.items()}
    y, people = plan.rows.y[plan.scored], plan.rows.people[plan.scored]
    fold = plan.rows.fold_of_row if plan.split == "oof" else np.zeros(len(y), np.int64)
    found = []
    for slice_name, rows in scored_slices(y, people, part).items():
        size = int(rows.sum()), len(set(people[rows]))
        for name, fit in fits.items():
            score = mean_pearson(y[rows], fit.predictions[plan.scored][rows], fold[rows])
            found.append((slice_name, *size, name, score))
    return pd.DataFrame(found, columns=SLICE_COLUMNS)
