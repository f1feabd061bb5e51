"""What a run has written, read for its report and its model card."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.files import file_sha256
from features.store import shards_of, store_metadata
from pipeline.clip_table import Rows, read_rows
from pipeline.params import Params, ParamsError
from pipeline.paths import (
    CLIPS,
    CONTRIBUTIONS,
    FOLDS,
    FOLDS_REPORT,
    IMPUTED,
    LEADERBOARD,
    LEARNING_CURVE,
    PEOPLE_REPORT,
    SLICES,
    STACK,
)
from pipeline.people import read_warnings
from pipeline.predictions import read_prediction_table
from pipeline.report.data import data_warnings
from pipeline.report.figures import PIPELINE, Plot, read_plot_table, read_plots
from pipeline.tables import read_run_table

_NEEDED = (
    *(PIPELINE, CLIPS, FOLDS, FOLDS_REPORT, PEOPLE_REPORT, STACK),
    *(LEADERBOARD, SLICES, CONTRIBUTIONS, IMPUTED, LEARNING_CURVE),
)


@dataclass(frozen=True)
class Results:
    """What a report is made of.

    Attributes
    ----------
    params : Params
        Of the run.
    rows : Rows
        The clips, their labels and people.
    stack : ndarray of float64, shape (n_clips, n_targets)
        Predictions of the stack, in the order of `rows`.
    board, contributions, slices, curve, imputed : DataFrame
        What ``leaderboard.csv``, ``contributions.csv``, ``slices.csv``, ``learning_curve.csv`` and
        ``imputed.csv`` hold.
    plots : mapping of str to (Plot, DataFrame)
        The plots of `dvc.yaml` by name, with their tables.
    failures : mapping of str to DataFrame
        Failure table by encoder.
    warnings : sequence of str
        What a reader has to know of the data.
    people : mapping
        What ``people.json`` holds.
    stores : mapping of str to mapping
        What the feature stores say of themselves.
    files : mapping of str to str
        Digests of the files that the run can be known by.
    """

    params: Params
    rows: Rows
    stack: NDArray[np.float64]
    board: pd.DataFrame
    contributions: pd.DataFrame
    slices: pd.DataFrame
    curve: pd.DataFrame
    imputed: pd.DataFrame
    plots: Mapping[str, tuple[Plot, pd.DataFrame]]
    failures: Mapping[str, pd.DataFrame]
    warnings: Sequence[str]
    people: Mapping[str, Any]
    stores: Mapping[str, Mapping[str, Any]]
    files: Mapping[str, str]


def read_results(params: Params) -> Results:
    """Read what a run has written.

    Raises
    ------
    ParamsError
        When files of the run are missing, or of other clips.
    """
    plots = read_plots() if PIPELINE.is_file() else {}
    needed = (*_NEEDED, *(plot.table for plot in plots.values()))
    missing = [str(path) for path in needed if not path.is_file()]
    if missing:
        raise ParamsError(f"there is no finished run here: {missing} are missing. Run `dvc repro`")
    rows = read_rows(params)
    return Results(
        params=params,
        rows=rows,
        stack=read_prediction_table(STACK, rows, params.targets)["stack"],
        board=read_run_table(LEADERBOARD),
        contributions=read_run_table(CONTRIBUTIONS),
        slices=read_run_table(SLICES),
        curve=read_run_table(LEARNING_CURVE),
        imputed=read_run_table(IMPUTED),
        plots={name: (plot, read_plot_table(plot.table)) for name, plot in plots.items()},
        failures={n: pd.read_parquet(params.failures_file(n)) for n in params.feature_names},
        warnings=[
            *read_warnings(PEOPLE_REPORT, FOLDS_REPORT),
            *data_warnings(rows, params.targets),
        ],
        people=json.loads(PEOPLE_REPORT.read_text(encoding="utf-8")),
        stores={
            name: store_metadata(pq.read_schema(shards_of(params.store_folder(name))[0]))
            for name in params.feature_names
        },
        files={str(path): file_sha256(path) for path in (CLIPS, FOLDS, STACK, LEADERBOARD)},
    )
