"""Heads on views, fitted one by one and scored: what is compared, and how far it is."""

import pickle
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from features.extraction.workers import Failure, Patience, WorkerError, Workers
from models.evaluation.scores import Score
from pipeline.comparison_plan import Plan, check_heads
from pipeline.fit import Fit, FitTask, Fitting
from pipeline.leaderboard import STACK, score, score_table, slice_table
from pipeline.learning_curve import known_learning_curve, learning_curve_table
from pipeline.params import Params
from pipeline.result_cache import digest_of, keep_result, load_result

TIME_LIMIT_S = 600.0
"""Longest time for one head on one view, without loading the view."""

_LOAD_LIMIT_S = 600.0


@dataclass
class Comparison:
    """A comparison, which fills up while it runs; all by name of the row.

    Attributes
    ----------
    plan : Plan
        What is compared.
    fits, scores, failures : dict of str to Fit, Score and Failure
        What came of each row: its fit with its score, or why there is none.
    running : (str, float), optional
        What is fitted now, and since when, by `time.monotonic`.
    slices, curve : DataFrame, optional
        Scores by slice, and the learning curve of the best head, where asked for.
    curve_of : str
        The head and view of the learning curve.
    """

    plan: Plan
    fits: dict[str, Fit] = field(default_factory=dict)
    scores: dict[str, Score] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    running: tuple[str, float] | None = None
    slices: pd.DataFrame | None = None
    curve: pd.DataFrame | None = None
    curve_of: str = ""

    @property
    def members(self) -> list[str]:
        """The heads on views that are done, which are stacked."""
        names = [task.name for task in self.plan.tasks if not task.is_baseline]
        return [name for name in names if name in self.fits]

    @property
    def n_reused(self) -> int:
        """Number of rows that were fitted before."""
        return sum(fit.reused for fit in self.fits.values())

    def table(self) -> pd.DataFrame:
        """Return the leaderboard so far, best first, then what failed.

        Returns
        -------
        DataFrame
            As `pipeline.leaderboard.score_table`, and ``fit_s``, the seconds that a fit took, and
            ``error``, empty where there is none.
        """
        table = score_table(self.scores, self.plan.params.targets, self.plan.split)
        place = list(table).index("constant")
        table.insert(place, "fit_s", [round(self.fits[name].fit_s, 6) for name in table["name"]])
        table["error"] = ""
        reasons = {name: failure.reason for name, failure in self.failures.items()}
        reasons.pop(f"learning curve of {self.curve_of}", None)  # which is no row
        if not reasons:
            return table
        failed = pd.DataFrame({"name": list(reasons), "constant": ""}, columns=list(table))
        failed["error"] = list(reasons.values())
        return pd.concat([table, failed.astype(table.dtypes)], ignore_index=True)


def run_comparison(plan: Plan, time_limit_s: float = TIME_LIMIT_S) -> Iterator[Comparison]:
    """Take what was fitted before, fit the rest, and stack it all.

    Heads run one after the other in a process of their own, which has all processors to itself. One
    that fails or takes longer than `time_limit_s` is a row with an error, and is tried again next
    time.

    Yields
    ------
    Comparison
        Always the same one, whenever something is new in it; last, when all is done.

    Raises
    ------
    ParamsError
        For an unknown kind of head, or wrong settings.
    """
    fitting, found = Fitting(plan.rows), Comparison(plan)
    known = {task.name: fitting.known(task) for task in plan.tasks}
    _add(found, {name: fit for name, fit in known.items() if fit is not None})
    if len(found.fits) < len(plan.tasks):
        check_heads(plan)
    yield found
    pickled = pickle.dumps(plan.rows)
    with Workers(1) as workers:
        for task in plan.tasks:
            if task.name not in found.fits:
                yield _begin(found, task.name)
                with _failing(found, task.name):
                    fit = workers.call(_fit, (pickled, task), limit_s=time_limit_s)
                    _add(found, {task.name: fit})
                yield found
        if len(found.members) > 1:
            yield _begin(found, STACK)
            with _failing(found, STACK):
                _add(found, {STACK: _stack(found, fitting)})
        order = [name for name in found.table()["name"] if name in found.fits]
        if plan.by is not None:
            named = {name: found.fits[name].predictions for name in order}
            found.slices = slice_table(named, plan.rows, plan.params, [plan.by], [plan.split])
        best = next((name for name in order if name in found.members), None)
        if plan.learning_curve and best is not None:
            task = next(each for each in plan.tasks if each.name == best)
            found.curve_of, name = best, f"learning curve of {best}"
            found.curve = known_learning_curve(fitting, task, plan.params)
            if found.curve is None:
                yield _begin(found, name)
                with _failing(found, name):
                    work = pickled, task, plan.params
                    found.curve = workers.call(_fit_on_fewer, work, limit_s=time_limit_s)
    yield found


def _begin(found: Comparison, name: str) -> Comparison:
    found.running = name, time.monotonic()
    return found


@contextmanager
def _failing(found: Comparison, name: str) -> Iterator[None]:
    """End what is running; note why, if it has failed."""
    try:
        yield
    except WorkerError as error:
        found.failures[name] = error.failure
    except ValueError as error:  # the stack wants labels in two folds
        found.failures[name] = Failure(str(error))
    found.running = None


def _add(found: Comparison, fits: dict[str, Fit]) -> None:
    """Score fits, all at once, and enter them."""
    plan, predictions = found.plan, {name: fit.predictions for name, fit in fits.items()}
    found.scores |= score(predictions, plan.rows, plan.params, plan.split)
    found.fits |= fits


def _stack(found: Comparison, fitting: Fitting) -> Fit:
    """Stack the members, or take from the cache what they were stacked to before."""
    members = [task for task in found.plan.tasks if task.name in found.members]
    key = digest_of(stack_of=[fitting.key(task) for task in members])
    known = load_result(key)
    if known is not None:
        return Fit(known["predictions"], float(known["fit_s"]), reused=True)
    from models.stack import fit_stack, stack_oof

    began_s, rows, n = time.perf_counter(), found.plan.rows, found.plan.rows.n_train
    values = np.stack([found.fits[task.name].predictions for task in members], axis=1)
    oof = stack_oof(values[:n], rows.y[:n], rows.fold_of_row)
    held = fit_stack(values[:n], rows.y[:n], rows.fold_of_row).predict(values[n:])
    fit = Fit(np.concatenate([oof, held]), time.perf_counter() - began_s)
    keep_result(key, {"predictions": fit.predictions, "fit_s": np.array(fit.fit_s)})
    return fit


@lru_cache(maxsize=1)
def _fitting(rows: bytes) -> Fitting:
    """In the worker: the view that was used last stays loaded from one task to the next."""
    return Fitting(pickle.loads(rows))


def _fit(work: tuple[bytes, FitTask]) -> Generator[Any, None, Fit]:
    yield Patience(_LOAD_LIMIT_S)
    fitting = _fitting(work[0])
    fitting.view(work[1])
    work[1].make_head()  # loads its library
    yield "loaded"
    return fitting.fit(work[1])


def _fit_on_fewer(work: tuple[bytes, FitTask, Params]) -> Generator[Any, None, pd.DataFrame]:
    yield Patience(_LOAD_LIMIT_S)
    fitting = _fitting(work[0])
    fitting.view(work[1])
    work[1].make_head()  # loads its library
    yield "loaded"
    return learning_curve_table(fitting, *work[1:])
