"""Where predictions are off: by size, person, duration and clip. Arrays in, small tables out."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from models.evaluation.slices import slice_rows

Floats = NDArray[np.float64]
People = NDArray[np.object_]

ERROR_COLUMNS = [
    *("target", "n_clips", "bias", "ci95_low", "ci95_high"),
    *("mean_absolute", "label_sd", "prediction_sd"),
]

_MOST_BANDS = 10
_MIN_CLIPS_PER_BAND = 5
_N_DURATION_BANDS = 6


class Estimate(NamedTuple):
    """A mean with its 95 % interval, whose ends are NaN with fewer than two people."""

    mean: float
    low: float
    high: float
    n_clips: int


class ClipError(NamedTuple):
    """A clip and how far off its predictions are.

    Attributes
    ----------
    row : int
        Among the rows given.
    size : float
        Root mean square over its labelled targets of the errors, in standard deviations of each
        target's errors: what is hard to predict anyway counts no more than the rest.
    targets : list of int
        Its labelled targets, the furthest off first.
    """

    row: int
    size: float
    targets: list[int]


def mean_by_people(values: Floats, people: People) -> Estimate:
    """Return a mean, with an interval that takes all clips of a person as one draw.

    Parameters
    ----------
    values : array of float64 [n_clips]
        NaN are left out.
    people : array of str [n_clips]
        Who each clip shows.

    Notes
    -----
    The cluster-robust variance of a mean (Liang and Zeger 1986), with Student's t for the number
    of people.
    """
    known = np.isfinite(values)
    values, n = values[known], int(known.sum())
    if not n:
        return Estimate(np.nan, np.nan, np.nan, 0)
    mean = float(values.mean())
    codes = np.unique(people[known].astype(str), return_inverse=True)[1]
    sums = np.bincount(codes, values - mean)
    n_people = len(sums)
    if n_people < 2:
        return Estimate(mean, np.nan, np.nan, n)
    error = np.sqrt((sums**2).sum() * n_people / (n_people - 1)) / n
    half = float(stdtrit(n_people - 1, 0.975) * error)
    return Estimate(mean, mean - half, mean + half, n)


def calibration_bands(
    label: Floats, prediction: Floats, people: People
) -> list[tuple[float, Estimate]]:
    """Return mean prediction and mean label in bands of equally many clips by prediction.

    Parameters
    ----------
    label, prediction : array of float64 [n_clips]
        Finite.
    people : array of str [n_clips]
        Who each clip shows.
    """
    n_bands = min(_MOST_BANDS, max(1, len(label) // _MIN_CLIPS_PER_BAND))
    bands = slice_rows(prediction, n_bands).values()
    return [
        (float(prediction[rows].mean()), mean_by_people(label[rows], people[rows]))
        for rows in bands
        if rows.any()
    ]


def error_table(
    y: Floats, predictions: Floats, people: People, targets: Sequence[str]
) -> pd.DataFrame:
    """Describe how predictions of each target are off, in units of the labels.

    Parameters
    ----------
    y, predictions : array of float64 [n_clips, n_targets]
        Labels (NaN = unlabelled) and predictions.
    people : array of str [n_clips]
        Who each clip shows.
    targets : sequence of str
        Names of the columns.

    Returns
    -------
    DataFrame
        ``target``, ``n_clips``; ``bias``, the mean of label minus prediction, with ``ci95_low`` and
        ``ci95_high``; ``mean_absolute``, the mean size of the errors; ``label_sd`` and
        ``prediction_sd``. What the clips do not allow to say is NaN.
    """
    rows = []
    for column, target in enumerate(targets):
        known = np.isfinite(y[:, column])
        label, prediction = pd.Series(y[known, column]), pd.Series(predictions[known, column])
        error = label - prediction
        bias = mean_by_people(error.to_numpy(), people[known])
        spreads = (error.abs().mean(), label.std(ddof=0), prediction.std(ddof=0))
        rows.append((target, bias.n_clips, bias.mean, bias.low, bias.high, *spreads))
    return pd.DataFrame(rows, columns=ERROR_COLUMNS)


def mean_over_targets(errors: Floats) -> Floats:
    """Return each clip's mean over its labelled targets [n_clips]; NaN without any.

    Parameters
    ----------
    errors : array of float64 [n_clips, n_targets]
        NaN where there is no label.
    """
    known = np.isfinite(errors)
    n, total = known.sum(axis=1), np.where(known, errors, 0.0).sum(axis=1)
    return np.asarray(np.divide(total, n, out=np.full(len(errors), np.nan), where=n > 0))


def people_furthest_off(error: Floats, people: People, n_most: int) -> list[tuple[str, Estimate]]:
    """Return the people whose mean error is furthest from zero, the most underestimated first.

    People of one clip are there only where nobody has more. The interval takes the person's clips
    as draws.

    Parameters
    ----------
    error : array of float64 [n_clips]
        NaN are left out.
    people : array of str [n_clips]
        Who each clip shows.
    n_most : int
        At most so many people.
    """
    table = pd.DataFrame({"error": error, "person": people.astype(str)}).dropna(subset="error")
    by_person = table.groupby("person")["error"].agg(["mean", "size"])
    by_person = by_person[(by_person["size"] > 1) | (by_person["size"].max() == 1)]
    furthest = by_person.sort_values("mean", key=lambda each: -each.abs(), kind="stable")[:n_most]
    found = []
    for person in furthest.sort_values("mean", ascending=False, kind="stable").index:
        own = table.loc[table["person"] == person, "error"].to_numpy(np.float64)
        found.append((str(person), mean_by_people(own, np.arange(len(own)).astype(object))))
    return found


def by_duration(values: Floats, duration_s: Floats, people: People) -> list[tuple[str, Estimate]]:
    """Return the mean of values in bands of equally many clips by duration.

    Nothing where durations are unknown or all the same.

    Parameters
    ----------
    values, duration_s : array of float64 [n_clips]
        NaN are left out.
    people : array of str [n_clips]
        Who each clip shows.
    """
    known = np.isfinite(values) & np.isfinite(duration_s)
    values, people, rounded_s = values[known], people[known], np.round(duration_s[known], 1)
    if len(np.unique(rounded_s)) < 2:
        return []
    bands = slice_rows(rounded_s, _N_DURATION_BANDS)
    return [
        (f"{name} s", mean_by_people(values[rows], people[rows]))
        for name, rows in bands.items()
        if rows.any()
    ]


def worst_clips(y: Floats, predictions: Floats, n_most: int) -> list[ClipError]:
    """Return the clips whose predictions are furthest off, the worst first.

    Parameters
    ----------
    y, predictions : array of float64 [n_clips, n_targets]
        Labels (NaN = unlabelled) and predictions.
    n_most : int
        At most so many clips; clips without labels are never among them.
    """
    error = y - predictions
    known = np.isfinite(error)
    n_of_target, n_of_clip = known.sum(axis=0), known.sum(axis=1)
    squares = np.where(known, error, 0.0) ** 2
    spread = np.sqrt(squares.sum(axis=0) / np.maximum(n_of_target, 1))
    scaled = np.sqrt(squares) / np.where(spread > 0, spread, 1.0)
    size = np.sqrt((scaled**2).sum(axis=1) / np.maximum(n_of_clip, 1))
    rows = np.flatnonzero(n_of_clip > 0)
    rows = rows[np.argsort(-size[rows], kind="stable")[:n_most]]
    return [
        ClipError(
            int(row),
            float(size[row]),
            [int(k) for k in np.argsort(-scaled[row], kind="stable") if known[row, k]],
        )
        for row in rows
    ]
