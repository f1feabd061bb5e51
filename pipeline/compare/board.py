"""The leaderboard while it fills up: what is known of every row, and the rows in their order."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from models.evaluation.scores import Score, best_first, better_than_best
from pipeline.compare.plan import Plan
from pipeline.compare.scores import Scored

State = Literal["waiting", "running", "done", "failed"]
STACK = "stack"

_N_DIGITS = 6


@dataclass
class Entry:
    """One row.

    Attributes
    ----------
    name : str
        ``<head>/<view>``, ``baseline/<name>`` or ``stack``.
    state : str
        What became of it so far.
    scored : Scored, optional
        Score and time, once done.
    reused : bool
        Whether its fit was there already.
    error, details : str
        Why it failed, and the traceback.
    began_s : float
        When it began to run, by `time.monotonic`.
    """

    name: str
    state: State = "waiting"
    scored: Scored | None = None
    reused: bool = False
    error: str = ""
    details: str = ""
    began_s: float = 0.0


class Board:
    """All rows of a comparison.

    Parameters
    ----------
    plan : Plan
        What is compared, and how it is scored.

    Attributes
    ----------
    entries : dict of str to Entry
        By name, in the order of the plan.
    slices, curve : DataFrame, optional
        Second tables, where asked for; see `pipeline.compare.slices` and `pipeline.fits.curve`.
    curve_of, curve_error : str
        The head and view of the learning curve, and why there is none.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.entries = {job.name: Entry(job.name) for job in plan.jobs}
        self.slices: pd.DataFrame | None = None
        self.curve: pd.DataFrame | None = None
        self.curve_of = self.curve_error = ""

    def begin(self, name: str) -> None:
        """Note that a row is being fitted."""
        entry = self.entries.setdefault(name, Entry(name))
        entry.state, entry.began_s = "running", time.monotonic()

    def add(self, name: str, scored: Scored, reused: bool = False) -> None:
        """Note that a row is done."""
        self.entries[name] = Entry(name, "done", scored, reused)

    def fail(self, name: str, error: str, details: str = "") -> None:
        """Note that a row has failed."""
        self.entries[name] = Entry(name, "failed", error=error, details=details)

    @property
    def n_reused(self) -> int:
        """Number of rows whose fit was there already."""
        return sum(entry.reused for entry in self.entries.values())

    @property
    def members(self) -> list[str]:
        """Heads on views that are done, without baselines and stack, in the order of the plan."""
        names = [job.name for job in self.plan.jobs if not job.is_baseline]
        return [name for name in names if self.entries[name].state == "done"]

    def named(self, state: State) -> list[Entry]:
        """Return the rows in that state; those that are done come best first."""
        entries = [entry for entry in self.entries.values() if entry.state == state]
        if state != "done":
            return entries
        return [entries[number] for number in best_first(_scores_of(entries))]

    def table(self) -> pd.DataFrame:
        """Return the leaderboard, best first, then what failed.

        Returns
        -------
        DataFrame
            ``name``; ``mean_pearson`` (out of fold: the mean over the folds), ``ci95_low`` and
            ``ci95_high`` (bootstrap over people);
            ``better_than_best`` (share of the resamples in which it is above the first row);
            ``pooled_mean_pearson`` (for the split ``oof``); ``fit_s``; ``pearson_<target>``;
            ``constant`` (targets whose predictions do not vary, or ``all``); ``error``.
        """
        done = self.named("done")
        better = better_than_best(_scores_of(done))
        rows = [self._row(entry, each) for entry, each in zip(done, better, strict=True)]
        rows += [self._row(entry, float("nan")) for entry in self.named("failed")]
        return pd.DataFrame(rows, columns=self.columns())

    def columns(self) -> list[str]:
        """Return the names of the table's columns."""
        pooled = ["pooled_mean_pearson"] if self.plan.split == "oof" else []
        by_target = [f"pearson_{target}" for target in self.plan.params.targets]
        first = ["name", "mean_pearson", "ci95_low", "ci95_high", "better_than_best"]
        return [*first, *pooled, "fit_s", *by_target, "constant", "error"]

    def _row(self, entry: Entry, better: float) -> dict[str, Any]:
        row: dict[str, Any] = {"name": entry.name, "error": entry.error, "constant": ""}
        if entry.scored is None:
            return row
        score, targets = entry.scored.score, self.plan.params.targets
        interval = score.interval
        constant = [t for t, flat in zip(targets, score.constant, strict=True) if flat]
        numbers = {
            "mean_pearson": score.mean_pearson,
            "ci95_low": interval.low,
            "ci95_high": interval.high,
            "better_than_best": better,
            "pooled_mean_pearson": score.pooled_mean_pearson,
            "fit_s": entry.scored.fit_s,
        }
        by_target = zip(targets, score.pearson, strict=True)
        numbers |= {f"pearson_{target}": value for target, value in by_target}
        rounded = {k: None if v is None else round(float(v), _N_DIGITS) for k, v in numbers.items()}
        return {
            **row,
            **rounded,
            "constant": "all" if len(constant) == len(targets) else ", ".join(constant),
        }


def _scores_of(entries: Sequence[Entry]) -> list[Score]:
    return [entry.scored.score for entry in entries if entry.scored is not None]
