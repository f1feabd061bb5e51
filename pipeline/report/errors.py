"""Where predictions are off: by target, person, duration and clip. Arrays in, small tables out.

In all functions, ``y`` and ``predictions`` are float64 [n_clips, n_targets], with NaN for a label
that is not there, and ``people`` says whom each clip shows [n_clips].
"""

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


def mean_by_people(values: Floats, people: People) -> Estimate:
    """Return the mean of values [n_clips] with an interval over people; NaN are left out.

    The clips of a person count as one draw.

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
    rows = []
    for column, target in enumerate(targets):
        known = np.isfinite(y[:, column])
        label, prediction = pd.Series(y[known, column]), pd.Series(predictions[known, column])
        error = label - prediction
        bias = mean_by_people(error.to_numpy(), people[known])
        spreads = (error.abs().mean(), label.std(ddof=0), prediction.std(ddof=0))
        rows.append((target, bias.n_clips, bias.mean, bias.low, bias.high, *spreads))
    return pd.DataFrame(rows, columns=ERROR_COLUMNS)


def calibration_bands(
    label: Floats, prediction: Floats, people: People
) -> list[tuple[float, Estimate]]:
    """Return mean prediction and mean label in bands of equally many clips by prediction.

    Labels and predictions [n_clips] are those of one target, all finite.
    """
    n_bands = min(_MOST_BANDS, max(1, len(label) // _MIN_CLIPS_PER_BAND))
    bands = slice_rows(prediction, n_bands).values()
    return [
        (float(prediction[rows].mean()), mean_by_people(label[rows], people[rows]))
        for rows in bands
        if rows.any()
    ]


def mean_over_targets(errors: Floats) -> Floats:
    """Return each clip's mean over its labelled targets [n_clips]; NaN without any.

    Errors [n_clips, n_targets] are NaN where there is no label.
    """
    return pd.DataFrame(errors).mean(axis=1).to_numpy(np.float64)


def people_furthest_off(error: Floats, people: People, n_most: int) -> list[tuple[str, Estimate]]:
    """Return the people whose mean error is furthest from zero, the most underestimated first.

    Errors [n_clips] that are NaN are left out. People of one clip are there only where nobody has
    more. The interval takes the person's clips as draws.
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
    """Return the mean of values [n_clips] in bands of equally many clips by duration.

    NaN are left out. Nothing where durations are unknown or all the same.
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


def sizes_of_errors(y: Floats, predictions: Floats) -> Floats:
    """Return the size of each error [n_clips, n_targets], in standard deviations of its target's.

    What is hard to predict anyway counts no more than the rest. NaN where there is no label.
    """
    size = np.abs(y - predictions)
    spread = np.sqrt(pd.DataFrame(size**2).mean().to_numpy(np.float64))
    return np.asarray(size / np.where(spread > 0, spread, 1.0))
