"""The tables behind the figures, which `dvc plots` and the report draw alike.

The plots of `dvc.yaml` name these tables and the templates of ``.dvc/plots`` that draw them. Errors
and scores are those of Val where it has labels, else out of fold on Train.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.clip_table import Rows
from pipeline.leaderboard import BASELINE, SPLITS, STACK, board_of_split, shown_splits
from pipeline.report import errors
from pipeline.report.errors import Estimate
from pipeline.views import JOIN

INTERVAL_COLUMNS = ["row", "value", "ci95_low", "ci95_high"]
CELL_COLUMNS = ["row", "target", "value"]
CALIBRATION_COLUMNS = ["target", "prediction", "label", "ci95_low", "ci95_high", "n_clips"]
SCATTER_COLUMNS = ["target", "prediction", "label", "n_clips"]

MOST_POINTS = 1000
"""From more clips than this the scatter counts clips in a grid of cells."""

NOTHING = "nothing to show"
"""The only row of an otherwise empty table, from which DVC could draw no plot at all."""

_N_CELLS = 32
_N_DIGITS = 6
_MOST_PEOPLE = 12

Floats = NDArray[np.float64]


def score_tables(
    board: pd.DataFrame, contributions: pd.DataFrame, slices: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """Return what is drawn of scores, by name of the plot.

    Parameters
    ----------
    board, contributions, slices : DataFrame
        What ``leaderboard.csv``, ``contributions.csv`` and ``slices.csv`` hold.

    Returns
    -------
    dict of str to DataFrame
        ``leaderboard``; ``encoders`` (each head on each encoder, and on all joined);
        ``contributions`` (what each modality and encoder adds); and ``slices`` of the stack:
        `INTERVAL_COLUMNS`. ``by_target``: `CELL_COLUMNS`.
    """
    split = shown_splits(board)[0]
    part = board_of_split(board, split)
    own = slices[(slices["split"] == split) & (slices["name"] == STACK)]
    slice_of = ("column", "slice", "n_rows")
    adds = contributions.rename(columns={"gain": "mean_pearson"})
    prefix = "pearson_"
    cells = {
        str(name).removeprefix(prefix): part[name] for name in part if str(name).startswith(prefix)
    }
    return {
        "leaderboard": _scores(part, part["name"]),
        "encoders": _encoders(part),
        "contributions": _scores(adds, map("{}: + {}".format, adds["kind"], adds["part"])),
        "slices": _scores(own, map("{}: {} · {} clips".format, *(own[name] for name in slice_of))),
        "by_target": _cells(part["name"], cells),
    }


def weight_table(weights: pd.DataFrame, targets: Sequence[str]) -> pd.DataFrame:
    """Return the weights of the stack, as shares of all weight on a target: `CELL_COLUMNS`."""
    return _cells(weights["member"], {target: weights[target] for target in targets})


def error_tables(
    stack: Floats, rows: Rows, targets: Sequence[str], split: str
) -> dict[str, pd.DataFrame]:
    """Return how the predictions of the stack are off, by name of the plot.

    Parameters
    ----------
    stack : ndarray of float64, shape (n_clips, n_targets)
        Predictions, in the order of `rows`.
    rows : Rows
        Labels, people and durations.
    targets : sequence of str
        In the order of the columns.
    split : {"val", "test", "oof"}
        The clips that are looked at.

    Returns
    -------
    dict of str to DataFrame
        ``scatter``: `SCATTER_COLUMNS`. ``calibration``, in bands of equally many clips by
        prediction: `CALIBRATION_COLUMNS`. ``residuals_by_person`` (those that lean the most),
        ``residuals_by_duration`` and ``errors_by_duration``, the mean of label minus prediction
        and of its size over a clip's targets: `INTERVAL_COLUMNS`.
    """
    chosen = (rows.clips["split"] == SPLITS[split]).to_numpy(bool)
    y, predicted, people = rows.y[chosen], stack[chosen], rows.people[chosen]
    duration_s = durations(rows.clips[chosen])
    scatter, calibration = [], []
    for column, target in enumerate(targets):
        known = np.isfinite(y[:, column])
        label, prediction = y[known, column], predicted[known, column]
        scatter += [(target, *point) for point in _points(prediction, label)]
        bands = errors.calibration_bands(label, prediction, people[known]) if len(label) else []
        calibration += [(target, at, *estimate) for at, estimate in bands]
    lean = errors.mean_over_targets(y - predicted)
    size = errors.mean_over_targets(np.abs(y - predicted))
    return {
        "scatter": pd.DataFrame(scatter, columns=SCATTER_COLUMNS).round(_N_DIGITS),
        "calibration": pd.DataFrame(calibration, columns=CALIBRATION_COLUMNS).round(_N_DIGITS),
        "residuals_by_person": _estimates(errors.people_furthest_off(lean, people, _MOST_PEOPLE)),
        "residuals_by_duration": _estimates(errors.by_duration(lean, duration_s, people)),
        "errors_by_duration": _estimates(errors.by_duration(size, duration_s, people)),
    }


def durations(clips: pd.DataFrame) -> Floats:
    """Return the length of each clip in seconds [n_clips]; NaN where unknown."""
    if "duration_s" not in clips:
        return np.full(len(clips), np.nan)
    return clips["duration_s"].to_numpy(np.float64, na_value=np.nan)


def _encoders(part: pd.DataFrame) -> pd.DataFrame:
    """Lay out each head on each encoder, best first, then on all joined; nothing with only one."""
    own = part[(part["name"] != STACK) & ~part["name"].str.startswith(BASELINE)]
    names = [str(name).partition("/") for name in own["name"]]
    if not any(JOIN in view for _, _, view in names):
        return _intervals([])
    order = sorted(range(len(own)), key=lambda k: (names[k][0], JOIN in names[k][2]))
    shown = [(head, "all joined" if JOIN in view else view) for head, _, view in names]
    return _scores(own.iloc[order], [": ".join(shown[k]) for k in order])


def _points(prediction: Floats, label: Floats) -> Iterator[tuple[float, float, int]]:
    """Yield clips as points, or of many clips the cells of a grid with how many lie in each."""
    if len(label) <= MOST_POINTS:
        yield from zip(prediction, label, np.ones(len(label), np.int64), strict=True)
        return
    counts, *edges = np.histogram2d(prediction, label, bins=_N_CELLS)
    across, up = ((each[:-1] + each[1:]) / 2 for each in edges)
    for column, row in np.argwhere(counts > 0):
        yield across[column], up[row], int(counts[column, row])


def _scores(table: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    columns = table[["mean_pearson", "ci95_low", "ci95_high"]].astype(np.float64)
    return _intervals(zip(names, *columns.to_numpy().T, strict=True))


def _estimates(named: Iterable[tuple[str, Estimate]]) -> pd.DataFrame:
    return _intervals((name, each.mean, each.low, each.high) for name, each in named)


def _intervals(rows: Iterable[tuple[str, float, float, float]]) -> pd.DataFrame:
    content = list(rows) or [(NOTHING, np.nan, np.nan, np.nan)]
    return pd.DataFrame(content, columns=INTERVAL_COLUMNS).round(_N_DIGITS)


def _cells(names: "pd.Series[str]", columns: Mapping[str, "pd.Series[float]"]) -> pd.DataFrame:
    rows = [
        (name, target, value)
        for target, values in columns.items()
        for name, value in zip(names, values.astype(np.float64), strict=True)
    ]
    return pd.DataFrame(rows, columns=CELL_COLUMNS).round(_N_DIGITS)
