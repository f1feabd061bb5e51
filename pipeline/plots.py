"""Tables behind `dvc plots`: the same figures as those of the report."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.clip_table import Rows
from pipeline.report import data, diagnostics
from pipeline.report.charts import Mark
from pipeline.report.diagnostics import Estimate
from pipeline.report.leaderboard import (
    board_marks,
    contribution_marks,
    encoder_gains,
    slice_marks,
)

INTERVAL_COLUMNS = ["row", "value", "ci95_low", "ci95_high"]
CALIBRATION_COLUMNS = ["target", "prediction", "label", "ci95_low", "ci95_high", "n_clips"]

_N_DIGITS = 6
_N_PEOPLE = 12
_NOTHING = ("nothing to show", np.nan, np.nan, np.nan)  # DVC makes of an empty table a broken plot


def score_tables(
    table: pd.DataFrame, split: str, heads: Sequence[str], encoders: Sequence[str]
) -> dict[str, pd.DataFrame]:
    """Return what is drawn of a leaderboard, by name of the plot.

    Parameters
    ----------
    table : DataFrame
        The leaderboard.
    split : str
        Of its columns: ``val``, ``test`` or ``oof``.
    heads, encoders : sequence of str
        Names in `params.yaml`.

    Returns
    -------
    dict of str to DataFrame
        ``leaderboard`` and ``encoders`` (each head on each encoder and on all):
        `INTERVAL_COLUMNS`.
    """
    gains = encoder_gains(table, split, heads, encoders)
    return {
        "leaderboard": _intervals((mark.label, mark) for mark in board_marks(table, split)),
        "encoders": _intervals(
            (f"{gain.head}: {mark.label}", mark) for gain in gains for mark in gain.marks
        ),
    }


def contribution_plot(contributions: pd.DataFrame) -> pd.DataFrame:
    """Return what each modality and encoder adds to all others, `INTERVAL_COLUMNS`."""
    return _intervals(
        (f"{kind}: {mark.label}", mark)
        for kind, marks in contribution_marks(contributions).items()
        for mark in marks
    )


def by_target_table(table: pd.DataFrame, split: str, targets: Sequence[str]) -> pd.DataFrame:
    """Return Pearson by row of the leaderboard and target: ``row, target, value``."""
    renamed = table.rename(columns={f"{split}_pearson_{target}": target for target in targets})
    return _long(renamed, "name", targets)


def weight_table(weights: pd.DataFrame, targets: Sequence[str]) -> pd.DataFrame:
    """Return the stack's weights, of all that a member gives: ``row, target, value``."""
    return _long(weights[weights["part"] == "all"], "member", targets)


def slices_table(slices: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return the stack's scores inside slices, `INTERVAL_COLUMNS`."""
    return _intervals(
        (f"{column}: {mark.label}", mark)
        for column, marks in slice_marks(slices, split).items()
        for mark in marks
    )


def scatter_table(
    predictions: NDArray[np.float64], rows: Rows, targets: Sequence[str], split: str
) -> pd.DataFrame:
    """Return one row per clip and labelled target: ``clip_id, target, label, prediction``.

    Parameters
    ----------
    predictions : ndarray of float64, shape (n_clips, n_targets)
        In the order of `rows`.
    rows : Rows
        Gives ids and labels.
    targets : sequence of str
        In the order of the columns.
    split : str
        Which clips: ``Train``, ``Val`` or ``Test``.
    """
    tables = [
        pd.DataFrame(
            {
                "clip_id": rows.clips["clip_id"],
                "target": target,
                "label": rows.y[:, column],
                "prediction": predictions[:, column],
            }
        )[rows.clips["split"] == split]
        for column, target in enumerate(targets)
    ]
    return pd.concat(tables, ignore_index=True).dropna(subset="label")


def error_tables(
    predictions: NDArray[np.float64], rows: Rows, targets: Sequence[str], split: str
) -> dict[str, pd.DataFrame]:
    """Return how predictions are off, by name of the plot; parameters as in `scatter_table`.

    Returns
    -------
    dict of str to DataFrame
        ``calibration``: `CALIBRATION_COLUMNS`, in bands of equally many clips by prediction.
        ``residuals_by_person`` (those that lean the most) and ``residuals_by_duration``, label
        minus prediction: `INTERVAL_COLUMNS`.
    """
    chosen = (rows.clips["split"] == split).to_numpy(bool)
    y, predicted, people = rows.y[chosen], predictions[chosen], rows.people[chosen]
    calibration = []
    for column, target in enumerate(targets):
        known = np.isfinite(y[:, column])
        label, prediction = y[known, column], predicted[known, column]
        bands = diagnostics.calibration_bands(label, prediction, people[known])
        calibration += [
            (target, at, each.mean, each.low, each.high, each.n_clips) for at, each in bands
        ]
    error = diagnostics.mean_error(y, predicted)
    _, furthest = diagnostics.people_furthest_off(error, people, _N_PEOPLE)
    duration_s = data.durations(rows.clips[chosen])
    return {
        "calibration": pd.DataFrame(calibration, columns=CALIBRATION_COLUMNS).round(_N_DIGITS),
        "residuals_by_person": _estimates(furthest),
        "residuals_by_duration": _estimates(diagnostics.by_duration(error, duration_s, people)),
    }


def _estimates(named: Iterable[tuple[str, Estimate]]) -> pd.DataFrame:
    return _intervals((name, Mark(name, each.mean, each.low, each.high)) for name, each in named)


def _intervals(named: Iterable[tuple[str, Mark]]) -> pd.DataFrame:
    rows = [(name, mark.value, mark.low, mark.high) for name, mark in named]
    return pd.DataFrame(rows or [_NOTHING], columns=INTERVAL_COLUMNS).round(_N_DIGITS)


def _long(table: pd.DataFrame, name: str, targets: Sequence[str]) -> pd.DataFrame:
    wide = table[[name, *targets]].rename(columns={name: "row"})
    return wide.melt("row", var_name="target", value_name="value").round(_N_DIGITS)
