"""What there is to fit: a head on a view; and what comes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from features.pool import Pooling
from pipeline.fits.digests import Stamp


@dataclass(frozen=True)
class Table:
    """The clip vectors of one encoder.

    Attributes
    ----------
    path : Path
        The file; made from `store` when it is first needed, if there is a store.
    width : int
        Number of columns.
    digest : str
        Of everything that its numbers come from.
    stamps : tuple of (Path, Stamp)
        The files that `digest` was computed from, as they were then.
    store, pooling : Path and Pooling, or None
        The feature store to pool and how, for vectors that DVC does not keep.
    """

    path: Path
    width: int
    digest: str
    stamps: tuple[tuple[Path, Stamp], ...]
    store: Path | None = None
    pooling: Pooling | None = None


@dataclass(frozen=True)
class View:
    """One or several encoders' clip vectors, side by side.

    Attributes
    ----------
    name : str
        Encoder names joined by ``+``; or what a column of the clip table is called.
    tables : tuple of Table
        In the order of the columns; none for a column of the clip table.
    column : str, optional
        That column, which then is all there is: no more than a baseline can be fitted on it.
    """

    name: str
    tables: tuple[Table, ...] = ()
    column: str | None = None

    @property
    def bands(self) -> tuple[int, ...]:
        """Number of columns of each encoder."""
        return tuple(table.width for table in self.tables)


DURATION = View("duration", column="duration_s")
"""The clip's duration in seconds, as the only column."""


@dataclass(frozen=True)
class Job:
    """A head to be fitted on a view.

    Attributes
    ----------
    name : str
        As on the leaderboard: ``<head>/<view>``, or ``baseline/<name>``.
    kind : str
        The head's kind, a key of `models.heads.HEADS`.
    settings : mapping
        The head's settings; the rest have their defaults.
    seed : int
        For heads that draw random numbers.
    view : View
        What it is fitted on.
    """

    name: str
    kind: str
    settings: Mapping[str, Any]
    seed: int
    view: View

    @property
    def is_baseline(self) -> bool:
        """Whether it sees nothing of what the clip shows."""
        return self.view.column is not None


@dataclass(frozen=True)
class Fit:
    """What came of a job.

    Attributes
    ----------
    predictions : ndarray of float64, shape (n_clips, n_targets)
        Train rows out of fold, the others by a refit on all of Train, or Test by one on Train and
        Val (`Fitter.refit`).
    fit_s : float
        Seconds that all of these fits took together, without loading the view. What the heads of a
        view share, and a head's library, count for the first that needs them.
    """

    predictions: NDArray[np.float64]
    fit_s: float

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Return the fit that these `arrays` are of."""
        return cls(arrays["predictions"], float(arrays["fit_s"]))

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """What is kept of it on disk."""
        return {"predictions": self.predictions, "fit_s": np.array(self.fit_s)}


def baseline_jobs(columns: Sequence[str], seed: int) -> list[Job]:
    """Return what is no emotion: the training mean, and ridges on one column of the clip table.

    Parameters
    ----------
    columns : sequence of str
        Columns to try besides the clip's duration.
    seed : int
        Of the heads.
    """
    views = [DURATION, *(View(column, column=column) for column in columns)]
    ridges = [Job(f"baseline/{view.name}", "ridge", {}, seed, view) for view in views]
    return [Job("baseline/mean", "mean", {}, seed, DURATION), *ridges]


def head_job(name: str, settings: Mapping[str, Any], seed: int, view: View) -> Job:
    """Return the job of a head from its entry in `params.yaml`, `kind` among its settings."""
    rest = {key: value for key, value in settings.items() if key != "kind"}
    return Job(f"{name}/{view.name}", str(settings.get("kind")), rest, seed, view)
