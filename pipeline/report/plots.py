"""The plots of `dvc.yaml`: the tables behind them, and how they are filled and drawn offline.

A plot is a table that the stage `evaluate` writes, and a template of Vega-Lite in ``.dvc/plots``.
The report fills it as `dvc plots show` does, and draws it as SVG: both show the same. Errors and
scores are those of Val where it has labels, else out of fold on Train.

In functions of arrays, ``y`` and ``predictions`` are float64 [n_clips, n_targets], with NaN for a
label that is not there, and ``people`` says whom each clip shows [n_clips].
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from models.evaluation.slices import slice_rows
from pipeline.clip_table import Rows
from pipeline.leaderboard import N_DIGITS, SPLITS, STACK, board_of_split, shown_splits
from pipeline.settings_files import read_yaml

CHECKOUT = Path(__file__).parents[2]
TEMPLATES = CHECKOUT / ".dvc/plots"

_VEGA_LITE = "5.8"
_CONFIG = {  # one run is shown: nothing has to say which one, and the text stands beside it
    "aria": False,
    "axis": {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"},
    "header": {"labelFontSize": 0, "labelPadding": 0},
    "legend": {"disable": True},
}

INTERVAL_COLUMNS = ["row", "value", "ci95_low", "ci95_high"]
CALIBRATION_COLUMNS = ["target", "prediction", "label", "ci95_low", "ci95_high", "n_clips"]
SCATTER_COLUMNS = ["target", "prediction", "label", "n_clips"]

MOST_POINTS = 1000
"""From more clips than this the scatter counts clips in a grid of cells."""

NOTHING = "nothing to show"
"""The only row of an otherwise empty table, from which DVC could draw no plot at all."""

_N_CELLS = 32
_MOST_BANDS = 10
_MIN_CLIPS_PER_BAND = 5

Floats = NDArray[np.float64]
People = NDArray[np.object_]


def read_plots() -> dict[str, tuple[Path, dict[str, str]]]:
    """Read the plots that the `dvc.yaml` of this code defines, by name.

    Of each, its table, a CSV file, and what `draw` takes: ``template``, the columns ``x`` and
    ``y``, ``x_label``, ``y_label`` and ``title``.
    """
    plots = {}
    for entry in read_yaml(CHECKOUT / "dvc.yaml")["plots"]:
        for name, settings in entry.items():
            ((table, y),) = settings["y"].items()
            plots[str(name)] = Path(table), {**settings, "y": y}
    return plots


def draw(plot: Mapping[str, str], table: pd.DataFrame, title: str = "") -> Markup:
    """Fill a plot's template as DVC does, and draw it, with a text for who cannot see it.

    Parameters
    ----------
    plot : mapping of str to str
        From `read_plots`.
    table : DataFrame
        Its table, or a part of it, as text, where an empty cell is missing; one mark per row, and
        not empty.
    title : str
        By default the plot's.

    Returns
    -------
    Markup
        One ``<svg>`` element without scripts, which refers to nothing outside. The same input gives
        the same text. Whatever the table holds is escaped.
    """
    import vl_convert
    from dvc_render.vega import VegaRenderer

    texts = {**plot, "title": title or plot["title"]}
    rows = table.assign(rev="workspace").to_dict("records")
    filled = VegaRenderer(rows, "plot", template_dir=str(TEMPLATES), **texts)
    svg = vl_convert.vegalite_to_svg(
        filled.get_filled_template(), vl_version=_VEGA_LITE, config=_CONFIG, allowed_base_urls=[]
    )
    said = "{title}: {y_label}, {x_label}".format(**texts)  # tables say the rest
    start = Markup('<svg role="img" aria-label="{}; {} marks" ').format(said, len(table))
    return Markup(svg.replace("<svg ", start, 1))


def score_tables(
    board: pd.DataFrame, contributions: pd.DataFrame, slices: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """Return what is drawn of the leaderboard, of contributions and slices, by name of the plot.

    Returns
    -------
    dict of str to DataFrame
        ``leaderboard``; ``contributions`` (what each modality and encoder adds); and ``slices`` of
        the stack: `INTERVAL_COLUMNS`. ``by_target``: ``row``, ``target``, ``value``.
    """
    split = shown_splits(board)[0]
    part = board_of_split(board, split)
    own = slices[(slices["split"] == split) & (slices["name"] == STACK)]
    slice_of = ("column", "slice", "n_rows")
    adds = contributions.rename(columns={"gain": "mean_pearson"})
    by_target = part.set_index("name").filter(regex="^pearson_")
    return {
        "leaderboard": _intervals(part, part["name"]),
        "contributions": _intervals(adds, map("{}: + {}".format, adds["kind"], adds["part"])),
        "slices": _intervals(own, map("{}: {} · {} clips".format, *(own[n] for n in slice_of))),
        "by_target": _cells(by_target.rename(columns=lambda name: name.removeprefix("pearson_"))),
    }


def weight_table(weights: pd.DataFrame, targets: Sequence[str]) -> pd.DataFrame:
    """Return the weights of the stack, as shares of all weight: ``row, target, value``."""
    return _cells(weights.set_index("member")[list(targets)])


def error_tables(
    stack: Floats, rows: Rows, targets: Sequence[str], split: str
) -> dict[str, pd.DataFrame]:
    """Return how the predictions of the stack are off on one split, by name of the plot.

    Returns
    -------
    dict of str to DataFrame
        ``scatter``: `SCATTER_COLUMNS`. ``calibration``, in bands of equally many clips by
        prediction: `CALIBRATION_COLUMNS`.
    """
    chosen = (rows.clips["split"] == SPLITS[split]).to_numpy(bool)
    y, predicted, people = rows.y[chosen], stack[chosen], rows.people[chosen]
    scatter, calibration = [], []
    for column, target in enumerate(targets):
        known = np.isfinite(y[:, column])
        label, prediction = y[known, column], predicted[known, column]
        scatter += [(target, *point) for point in _points(prediction, label)]
        n_bands = min(_MOST_BANDS, max(1, len(label) // _MIN_CLIPS_PER_BAND))
        for band in slice_rows(prediction, n_bands).values():
            estimate = mean_by_people(label[band], people[known][band])
            calibration.append((target, prediction[band].mean(), *estimate, band.sum()))
    return {
        "scatter": pd.DataFrame(scatter, columns=SCATTER_COLUMNS).round(N_DIGITS),
        "calibration": pd.DataFrame(calibration, columns=CALIBRATION_COLUMNS).round(N_DIGITS),
    }


def error_table(
    y: Floats, predictions: Floats, people: People, targets: Sequence[str]
) -> pd.DataFrame:
    """Describe how the predictions of each target are off, in units of the labels.

    Returns
    -------
    DataFrame
        ``target``, ``n_clips``; ``bias``, the mean of label minus prediction, with ``ci95_low`` and
        ``ci95_high``; ``mean_absolute``, the mean size of the errors; ``label_sd`` and
        ``prediction_sd``. What the clips do not allow to say is NaN.
    """
    names = ["target", "n_clips", "bias", "ci95_low", "ci95_high"]
    names += ["mean_absolute", "label_sd", "prediction_sd"]
    rows = []
    for column, target in enumerate(targets):
        known = np.isfinite(y[:, column])
        label, prediction = pd.Series(y[known, column]), pd.Series(predictions[known, column])
        bias = mean_by_people(label - prediction, people[known])
        spreads = (label - prediction).abs().mean(), label.std(ddof=0), prediction.std(ddof=0)
        rows.append((target, len(label), *bias, *spreads))
    return pd.DataFrame(rows, columns=names)


def mean_by_people(values: ArrayLike, people: NDArray[Any]) -> tuple[float, float, float]:
    """Return the mean of values [n_clips], and the ends of its 95 % interval over people.

    All clips of a person are one draw. With fewer than two people the ends are NaN.

    Notes
    -----
    The cluster-robust variance of a mean (Liang and Zeger 1986), with Student's t for the number
    of people.
    """
    values, n = np.asarray(values, np.float64), len(people)
    if not n:
        return np.nan, np.nan, np.nan
    mean = float(values.mean())
    codes = np.unique(people.astype(str), return_inverse=True)[1]
    sums = np.bincount(codes, values - mean)
    if (n_people := len(sums)) < 2:
        return mean, np.nan, np.nan
    error = np.sqrt((sums**2).sum() * n_people / (n_people - 1)) / n
    half = float(stdtrit(n_people - 1, 0.975) * error)
    return mean, mean - half, mean + half


def _points(prediction: Floats, label: Floats) -> Iterator[tuple[float, float, int]]:
    """Yield clips as points, or of many clips the cells of a grid with how many lie in each."""
    if len(label) <= MOST_POINTS:
        yield from zip(prediction, label, np.ones(len(label), np.int64), strict=True)
        return
    counts, *edges = np.histogram2d(prediction, label, bins=_N_CELLS)
    across, up = ((each[:-1] + each[1:]) / 2 for each in edges)
    for column, row in np.argwhere(counts > 0):
        yield across[column], up[row], int(counts[column, row])


def _intervals(table: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """Name scores and their intervals; where there are none, one row says so."""
    columns = table[["mean_pearson", "ci95_low", "ci95_high"]].to_numpy(np.float64)
    rows = [(name, *each) for name, each in zip(names, columns, strict=True)]
    rows = rows or [(NOTHING, np.nan, np.nan, np.nan)]
    return pd.DataFrame(rows, columns=INTERVAL_COLUMNS).round(N_DIGITS)


def _cells(table: pd.DataFrame) -> pd.DataFrame:
    """Lay a table with a row per name and a column per target out cell by cell."""
    names = {
        "row": np.tile(table.index, table.shape[1]),
        "target": table.columns.repeat(len(table)),
    }
    return pd.DataFrame({**names, "value": table.to_numpy(np.float64).ravel("F")}).round(N_DIGITS)
