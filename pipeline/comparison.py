"""Heads on views, fitted one by one and scored: what is compared, and how far it is."""

import pickle
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from features.extraction.workers import Failure, Patience, WorkerError, Workers
from features.pool import PARTS, STATISTICS, Pooling
from models.evaluation.scores import Score
from pipeline.clip_table import Rows, read_rows
from pipeline.fit import Fit, FitTask, Fitting, baseline_tasks, head_task
from pipeline.leaderboard import STACK, rows_of_splits, score, score_table, slice_table
from pipeline.learning_curve import known_learning_curve, learning_curve_table
from pipeline.params import Params, ParamsError, load_params
from pipeline.paths import PARAMS
from pipeline.result_cache import digest_of, keep_result, load_result
from pipeline.settings_files import entry_faults, nearest, refuse
from pipeline.views import JOIN, view_names

TIME_LIMIT_S = 600.0
"""Longest time for one head on one view, without loading the view."""

_LOAD_LIMIT_S = 600.0

Split = Literal["oof", "val"]


@dataclass(frozen=True)
class Plan:
    """What is compared.

    Attributes
    ----------
    params : Params
        With the targets and encoders that take part.
    rows : Rows
        With these targets.
    split : {"val", "oof"}
        The predictions that are scored.
    tasks : list of FitTask
        Baselines first, then view by view.
    by : str, optional
        A column of the clip table by whose values scores are given as well.
    learning_curve : bool
        Whether the best head is also fitted on fewer people.
    """

    params: Params
    rows: Rows
    split: Split
    tasks: list[FitTask]
    by: str | None = None
    learning_curve: bool = False


@dataclass
class Entry:
    """One row of a comparison.

    Attributes
    ----------
    name : str
        ``<head>/<view>``, ``baseline/<name>`` or ``stack``.
    began_s : float, optional
        While it is fitted, when that began, by `time.monotonic`.
    fit, score : Fit and Score, optional
        What came of it.
    failure : Failure, optional
        Why nothing came of it.
    """

    name: str
    began_s: float | None = None
    fit: Fit | None = None
    score: Score | None = None
    failure: Failure | None = None


@dataclass
class Comparison:
    """A comparison, which fills up while it runs.

    Attributes
    ----------
    plan : Plan
        What is compared.
    entries : dict of str to Entry
        By name, in the order of the plan; the stack last.
    slices, curve : DataFrame, optional
        Scores by slice, and the learning curve of the best head, where asked for.
    curve_of : str
        The head and view of the learning curve.
    """

    plan: Plan
    entries: dict[str, Entry] = field(default_factory=dict)
    slices: pd.DataFrame | None = None
    curve: pd.DataFrame | None = None
    curve_of: str = ""

    @property
    def scores(self) -> dict[str, Score]:
        """The scores of the rows that are done, by name."""
        return {name: each.score for name, each in self.entries.items() if each.score is not None}

    @property
    def failures(self) -> dict[str, Failure]:
        """Why other rows never will be, by name."""
        entries = self.entries.items()
        return {name: each.failure for name, each in entries if each.failure is not None}

    @property
    def members(self) -> dict[str, Fit]:
        """The fits that are stacked: all heads on views that are done."""
        names = [task.name for task in self.plan.tasks if not task.is_baseline]
        fits = {name: self.entries[name].fit for name in names}
        return {name: fit for name, fit in fits.items() if fit is not None}

    @property
    def n_reused(self) -> int:
        """Number of rows that were fitted before."""
        return sum(each.fit is not None and each.fit.reused for each in self.entries.values())

    def table(self) -> pd.DataFrame:
        """Return the leaderboard so far, best first, then what failed.

        Returns
        -------
        DataFrame
            As `pipeline.leaderboard.score_table`, and ``fit_s``, the seconds that a fit took, and
            ``error``, empty where there is none.
        """
        table = score_table(self.scores, self.plan.params.targets, self.plan.split)
        failed = pd.DataFrame({"name": list(self.failures), "constant": ""}, columns=list(table))
        table = pd.concat([table, failed], ignore_index=True) if len(failed) else table
        fits = [self.entries[name].fit for name in table["name"]]
        took_s = [float("nan") if fit is None else round(fit.fit_s, 6) for fit in fits]
        table.insert(list(table).index("constant"), "fit_s", took_s)
        failures = [self.entries[name].failure for name in table["name"]]
        return table.assign(error=["" if each is None else each.reason for each in failures])


def plan_comparison(
    params_file: Path,
    encoders: Sequence[str] | None = None,
    heads: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    pooling: str | None = None,
    split: Split | None = None,
    by: str | None = None,
    learning_curve: bool = False,
) -> Plan:
    """Check every name that was asked for, and list what has to be fitted.

    Parameters
    ----------
    params_file : Path
        The parameters.
    encoders, heads, targets, pooling, split
        As in `pipeline.compare.compare`.
    by, learning_curve
        As in `Plan`.

    Raises
    ------
    ParamsError
        For a name that is not known; names the nearest and all known ones.
    StoreError
        When the clip vectors of an encoder are missing.
    """
    params = load_params(params_file, check_heads=False)
    views = view_names(params.feature_names)
    if encoders is not None:
        views = list(dict.fromkeys(known_view(view, params) for view in encoders))
    used = {name for view in views for name in view.split(JOIN)}
    chosen = known_names(targets or params.targets, params.targets, "target")
    params = params.model_copy(
        update={
            "targets": tuple(target for target in params.targets if target in chosen),
            "encoders": {name: spec for name, spec in params.encoders.items() if name in used},
            "stores": {name: store for name, store in params.stores.items() if name in used},
        }
    )
    pooled = None if pooling is None else parse_pooling(pooling)
    rows = read_rows(params)
    if by is not None:
        known_names([by], list(map(str, rows.clips.columns)), "column")
    if learning_curve:
        scored_split("val", rows)  # it is scored there
    asked = list(dict.fromkeys(params.heads if heads is None else heads))
    tasks = baseline_tasks(params)
    tasks += [head_task(head, view, params, pooled) for view in views for head in asked]
    return Plan(params, rows, scored_split(split, rows), tasks, by, learning_curve)


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
    fitting = Fitting(plan.rows)
    known = {task.name: fitting.known(task) for task in plan.tasks}
    found = Comparison(plan, {name: Entry(name, fit=fit) for name, fit in known.items()})
    _score(found, [name for name, fit in known.items() if fit is not None])
    if len(found.scores) < len(plan.tasks):
        _check_heads(plan)
    yield found
    pickled = pickle.dumps(plan.rows)
    with Workers(1) as workers:
        for task in plan.tasks:
            entry = found.entries[task.name]
            if entry.fit is not None:
                continue
            entry.began_s = time.monotonic()
            yield found
            try:
                entry.fit = workers.call(_fit, (pickled, task), limit_s=time_limit_s)
                _score(found, [task.name])
            except WorkerError as error:
                entry.failure = error.failure
            entry.began_s = None
            yield found
        if len(found.members) > 1:
            found.entries[STACK] = Entry(STACK, began_s=time.monotonic())
            yield found
            found.entries[STACK] = _stack(found, fitting)
            _score(found, [STACK])
        order = [name for name in found.table()["name"] if name in found.scores]
        if plan.by is not None:
            named = {name: found.entries[name].fit.predictions for name in order}
            found.slices = slice_table(named, plan.rows, plan.params, [plan.by], [plan.split])
        best = next((name for name in order if name in found.members), None)
        if plan.learning_curve and best is not None:
            (task,) = (each for each in plan.tasks if each.name == best)
            found.curve_of = best
            found.curve = known_learning_curve(fitting, task, plan.params)
            if found.curve is None:
                name = f"learning curve of {best}"
                entry = found.entries[name] = Entry(name, began_s=time.monotonic())
                yield found
                try:
                    work = pickled, task, plan.params
                    found.curve = workers.call(_fit_on_fewer, work, limit_s=time_limit_s)
                    del found.entries[name]
                except WorkerError as error:
                    entry.failure, entry.began_s = error.failure, None
    yield found


def known_names(asked: Sequence[str], known: Sequence[str], what: str) -> list[str]:
    """Return the names asked for, each once.

    Raises
    ------
    ParamsError
        For an unknown one; names the nearest and all known ones.
    """
    for name in asked:
        if name not in known:
            raise ParamsError(f"unknown {what} {name!r}{nearest(name, known)}")
    return list(dict.fromkeys(asked))


def known_view(asked: str, params: Params) -> str:
    """Name a view as `view_names` does, whatever the order in which its encoders were given.

    Raises
    ------
    ParamsError
        For an unknown encoder; as `known_names`.
    """
    return JOIN.join(sorted(known_names(asked.split(JOIN), params.feature_names, "encoder")))


def parse_pooling(text: str) -> Pooling:
    """Read ``statistics/parts``, names joined by commas.

    Raises
    ------
    ParamsError
        When a name is unknown or there is not one slash.
    """
    lists = [part.split(",") for part in text.split("/")]
    if len(lists) != 2:
        raise ParamsError(
            f"the pooling {text!r} is not of the form statistics/parts: expected, for example, "
            "'mean,std/whole,halves'"
        )
    statistics = known_names(lists[0], list(STATISTICS), "statistic")
    parts = known_names(lists[1], list(PARTS), "part")
    return Pooling.model_validate({"statistics": statistics, "parts": parts})


def scored_split(asked: Split | None, rows: Rows) -> Split:
    """Return the split that is scored: by default Val, or out of fold where it has no labels.

    Raises
    ------
    ParamsError
        When Val is asked for and has no labels.
    """
    has_labels = "val" in rows_of_splits(rows)
    if asked == "val" and not has_labels:
        raise ParamsError("no clip of Val is labelled: only the split oof can be scored")
    return asked or ("val" if has_labels else "oof")


def _check_heads(plan: Plan) -> None:
    from models.heads import HEADS, head_settings

    settings = {kind: head_settings(kind) for kind in HEADS}
    heads = {task.name.partition("/")[0]: dict(task.settings) for task in plan.tasks}
    for name, entry in heads.items():
        if entry["kind"] not in HEADS:
            known = list(dict.fromkeys([*plan.params.heads, *HEADS]))
            raise ParamsError(f"unknown head {name!r}{nearest(name, known)}")
    refuse(PARAMS, entry_faults({"heads": heads}, "heads", settings, kind_is_setting=False))


def _score(found: Comparison, names: Sequence[str]) -> None:
    """Score rows that were fitted, all at once."""
    plan, fits = found.plan, {name: found.entries[name].fit for name in names}
    predictions = {name: fit.predictions for name, fit in fits.items() if fit is not None}
    for name, each in score(predictions, plan.rows, plan.params, plan.split).items():
        found.entries[name].score = each


def _stack(found: Comparison, fitting: Fitting) -> Entry:
    """Stack the members, or take from the cache what they were stacked to before."""
    tasks = {task.name: task for task in found.plan.tasks}
    key = digest_of(stack_of=[fitting.key(tasks[name]) for name in found.members])
    arrays = load_result(key)
    reused = arrays is not None
    if arrays is None:
        from models.stack import fit_stack, stack_oof

        began_s, rows, n = time.perf_counter(), found.plan.rows, found.plan.rows.n_train
        members = np.stack([fit.predictions for fit in found.members.values()], axis=1)
        try:
            oof = stack_oof(members[:n], rows.y[:n], rows.fold_of_row)
            stack = fit_stack(members[:n], rows.y[:n], rows.fold_of_row)
        except ValueError as error:  # labels in too few folds
            return Entry(STACK, failure=Failure(str(error)))
        predictions = np.concatenate([oof, stack.predict(members[n:])])
        arrays = {
            "predictions": predictions,
            "fit_s": np.array(time.perf_counter() - began_s),
        }
        keep_result(key, arrays)
    return Entry(STACK, fit=Fit(arrays["predictions"], float(arrays["fit_s"]), reused=reused))


@lru_cache(maxsize=1)
def _fitting(rows: bytes) -> Fitting:
    """In the worker: the view that was used last stays loaded from one task to the next."""
    return Fitting(pickle.loads(rows))


def _fit(work: tuple[bytes, FitTask]) -> Iterator[Any]:
    yield Patience(_LOAD_LIMIT_S)
    fitting = _fitting(work[0])
    fitting.view(work[1])
    work[1].make_head()  # loads its library
    yield "loaded"
    return fitting.fit(work[1])


def _fit_on_fewer(work: tuple[bytes, FitTask, Params]) -> Iterator[Any]:
    yield Patience(_LOAD_LIMIT_S)
    fitting = _fitting(work[0])
    fitting.view(work[1])
    work[1].make_head()  # loads its library
    yield "loaded"
    return learning_curve_table(fitting, *work[1:])
