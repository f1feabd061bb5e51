"""Where predictions are off: by size, person, duration and clip. Arrays in, plain data out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from models.arrays import group_codes
from models.evaluation.slices import slice_rows

Floats = NDArray[np.float64]
People = NDArray[np.object_]

N_BANDS = 10
_MIN_CLIPS_PER_BAND = 5
_DURATION_STEP_S = 0.1


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval.

    Attributes
    ----------
    mean, low, high : float
        The ends are NaN with fewer than two people.
    n_clips, n_people : int
        What it rests on.
    """

    mean: float
    low: float
    high: float
    n_clips: int
    n_people: int


@dataclass(frozen=True)
class TargetErrors:
    """How predictions of one target are off, in units of the labels.

    Attributes
    ----------
    bias : Estimate
        Mean of label minus prediction.
    mean_absolute : float
        Mean size of the errors; NaN without labels.
    label_sd, prediction_sd : float
        Standard deviations.
    between_people : float
        Share of the variance of the errors that lies between people: the one-way intraclass
        correlation, at least 0; NaN where nobody has two clips.
    """

    bias: Estimate
    mean_absolute: float
    label_sd: float
    prediction_sd: float
    between_people: float


@dataclass(frozen=True)
class ClipError:
    """A clip and how far off its predictions are.

    Attributes
    ----------
    row : int
        Among the rows given.
    size : float
        Root mean square over its labelled targets of the errors, in standard deviations of each
        target's errors: what is hard to predict anyway counts no more than the rest.
    targets : list of int
        Its targets, the furthest off first.
    """

    row: int
    size: float
    targets: list[int]


def mean_by_people(values: Floats, people: People) -> Estimate:
    """Return a mean, with an interval that takes the clips of a person as one draw.

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
    values, people = values[known], people[known]
    if not len(values):
        return Estimate(np.nan, np.nan, np.nan, 0, 0)
    mean = float(values.mean())
    sums = np.bincount(group_codes(people), values - mean)
    n = len(sums)
    if n < 2:
        return Estimate(mean, np.nan, np.nan, len(values), n)
    error = np.sqrt((sums**2).sum() * n / (n - 1)) / len(values)
    half = float(student.ppf(0.975, n - 1) * error)
    return Estimate(mean, mean - half, mean + half, len(values), n)


def calibration_bands(
    label: Floats, prediction: Floats, people: People
) -> list[tuple[float, Estimate]]:
    """Return mean prediction and label in bands of equally many clips by prediction.

    Parameters
    ----------
    label, prediction : array of float64 [n_clips]
        Finite.
    people : array of str [n_clips]
        Who each clip shows.
    """
    n_bands = min(N_BANDS, max(1, len(label) // _MIN_CLIPS_PER_BAND))
    bands = slice_rows(prediction, n_bands).values()
    return [
        (float(prediction[rows].mean()), mean_by_people(label[rows], people[rows]))
        for rows in bands
        if rows.any()
    ]


def target_errors(label: Floats, prediction: Floats, people: People) -> TargetErrors:
    """Describe the errors of one target; parameters as in `calibration_bands`."""
    error = label - prediction
    some = len(error) > 0
    return TargetErrors(
        bias=mean_by_people(error, people),
        mean_absolute=float(np.abs(error).mean()) if some else np.nan,
        label_sd=float(label.std()) if some else np.nan,
        prediction_sd=float(prediction.std()) if some else np.nan,
        between_people=_between_people(error, people),
    )


def mean_error(y: Floats, predictions: Floats) -> Floats:
    """Return each clip's mean of label minus prediction over its labelled targets [n_clips].

    NaN for a clip without labels.
    """
    error = y - predictions
    known = np.isfinite(error)
    n = known.sum(axis=1)
    total = np.where(known, error, 0.0).sum(axis=1)
    return np.asarray(np.divide(total, n, out=np.full(len(y), np.nan), where=n > 0))


def people_furthest_off(
    error: Floats, people: People, n_most: int
) -> tuple[Floats, list[tuple[str, Estimate]]]:
    """Return every person's mean error, and the people whose mean is furthest from zero.

    Parameters
    ----------
    error : array of float64 [n_clips]
        From `mean_error`.
    people : array of str [n_clips]
        Who each clip shows.
    n_most : int
        How many to name, from the most underestimated on. People of one clip are named only where
        nobody has more.

    Returns
    -------
    means : array of float64 [n_people]
    named : list of (str, Estimate)
        The interval takes the person's clips as draws.
    """
    known = np.isfinite(error)
    error, people = error[known], people[known]
    if not len(error):
        return error, []
    names, code = np.unique(people.astype(str), return_inverse=True)
    counts = np.bincount(code)
    means = np.bincount(code, error) / counts
    able = np.flatnonzero(counts > 1) if (counts > 1).any() else np.arange(len(counts))
    furthest = able[np.argsort(-np.abs(means[able]), kind="stable")[:n_most]]
    furthest = furthest[np.argsort(-means[furthest], kind="stable")]
    named = []
    for person in furthest:
        own = error[code == person]
        clips = np.arange(len(own)).astype(str).astype(object)
        named.append((str(names[person]), mean_by_people(own, clips)))
    return means, named


def by_duration(
    values: Floats, duration_s: Floats, people: People, n_bands: int = 6
) -> list[tuple[str, Estimate]]:
    """Return the mean of values in bands of equally many clips by duration.

    Nothing where durations are unknown or all the same.
    """
    known = np.isfinite(values) & np.isfinite(duration_s)
    rounded = np.round(duration_s[known] / _DURATION_STEP_S) * _DURATION_STEP_S
    if len(np.unique(rounded)) < 2:
        return []
    bands = slice_rows(np.round(rounded, 1), n_bands)
    return [
        (f"{name} s", mean_by_people(values[known][rows], people[known][rows]))
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
    spread = np.array([_root_mean_square(column[column == column]) for column in error.T])
    scaled = np.where(known, error, 0.0) / np.where(spread > 0, spread, 1.0)
    n = known.sum(axis=1)
    size = np.sqrt((scaled**2).sum(axis=1) / np.maximum(n, 1))
    rows = np.flatnonzero(n > 0)
    rows = rows[np.argsort(-size[rows], kind="stable")[:n_most]]
    return [
        ClipError(
            int(row), float(size[row]), [int(k) for k in _far_first(scaled[row]) if known[row, k]]
        )
        for row in rows
    ]


def _far_first(errors: Floats) -> Sequence[np.intp]:
    return list(np.argsort(-np.abs(errors), kind="stable"))


def _root_mean_square(values: Floats) -> float:
    return float(np.sqrt((values**2).mean())) if len(values) else 0.0


def _between_people(error: Floats, people: People) -> float:
    """Return the intraclass correlation by the analysis of variance of unequal groups."""
    if not len(error):
        return float("nan")
    code = group_codes(people)
    counts = np.bincount(code)
    n, n_people = len(error), len(counts)
    if n_people < 2 or n == n_people:
        return float("nan")
    means = np.bincount(code, error) / counts
    between = (counts * (means - error.mean()) ** 2).sum() / (n_people - 1)
    within = ((error - means[code]) ** 2).sum() / (n - n_people)
    size = (n - (counts**2).sum() / n) / (n_people - 1)
    total = between + (size - 1) * within
    return float(max((between - within) / total, 0.0)) if total > 0 else float("nan")
