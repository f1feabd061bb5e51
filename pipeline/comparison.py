"""Heads on views, fitted and scored one by one: what is compared, and how far it is."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from features.pool import PARTS, STATISTICS, Pooling
from models.evaluation.compare import MemberScore
from pipeline.clip_table import Rows, read_rows
from pipeline.fit_process import FailedFitError, FitProcess
from pipeline.fits.curve import curve_arrays, curve_settings, curve_table
from pipeline.fits.fit_cache import FitCache
from pipeline.fits.jobs import Fit, Job, baseline_jobs, head_job
from pipeline.fits.pooled import find_view
from pipeline.fits.result_cache import default_result_folder
from pipeline.leaderboard import STACK, rows_of_splits, score, score_table, slice_table
from pipeline.params import Params, ParamsError, load_params
from pipeline.settings_files import nearest
from pipeline.views import JOIN, view_names

TIME_LIMIT_S = 600.0
"""Longest time for one head on one view, without loading the view."""


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
    tasks : list of Job
        Baselines first, then view by view.
    by : str, optional
        A column of the clip table by whose values scores are given as well.
    learning_curve : bool
        Whether the best head is also fitted on fewer people.
    """

    params: Params
    rows: Rows
    split: str
    tasks: list[Job]
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
        When its fit began, by `time.monotonic`.
    fit, score : Fit and MemberScore, optional
        What came of it.
    reused : bool
        Whether its fit was there already.
    error, details : str
        Why it failed, and the traceback.
    """

    name: str
    began_s: float | None = None
    fit: Fit | None = None
    score: MemberScore | None = None
    reused: bool = False
    error: str = ""
    details: str = ""


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
    curve_of, curve_error : str
        The head and view of the learning curve, and why there is none.
    """

    plan: Plan
    entries: dict[str, Entry] = field(default_factory=dict)
    slices: pd.DataFrame | None = None
    curve: pd.DataFrame | None = None
    curve_of: str = ""
    curve_error: str = ""

    @property
    def done(self) -> dict[str, Entry]:
        """The rows that have a score."""
        return {name: each for name, each in self.entries.items() if each.score is not None}

    @property
    def failed(self) -> dict[str, Entry]:
        """The rows that have none, and never will."""
        return {name: each for name, each in self.entries.items() if each.error}

    @property
    def members(self) -> list[str]:
        """Heads on views that are done: neither baselines nor the stack."""
        names = [task.name for task in self.plan.tasks if not task.is_baseline]
        return [name for name in names if name in self.done]

    @property
    def n_reused(self) -> int:
        """Number of rows whose fit was there already."""
        return sum(entry.reused for entry in self.entries.values())

    def table(self) -> pd.DataFrame:
        """Return the leaderboard so far, best first, then what failed.

        Returns
        -------
        DataFrame
            As `pipeline.leaderboard.score_table`, and ``fit_s``, the seconds that a fit took, and
            ``error``, empty where there is none.
        """
        scores = {name: each.score for name, each in self.done.items() if each.score is not None}
        table = score_table(scores, self.plan.params.targets, self.plan.split)
        failed = pd.DataFrame({"name": list(self.failed), "constant": ""}, columns=list(table))
        table = pd.concat([table, failed], ignore_index=True) if len(failed) else table
        entries = [self.entries[name] for name in table["name"]]
        took_s = [None if each.fit is None else round(each.fit.fit_s, 6) for each in entries]
        place = list(table).index("constant")
        table.insert(place, "fit_s", pd.Series(took_s, dtype=float))
        table["error"] = [each.error for each in entries]
        return table


def plan_comparison(
    params_file: Path,
    encoders: Sequence[str] | None = None,
    heads: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    pooling: str | None = None,
    split: Literal["oof", "val"] | None = None,
    by: str | None = None,
    learning_curve: bool = False,
) -> Plan:
    """Check every name that was asked for, and list what has to be fitted.

    Parameters
    ----------
    params_file : Path
        The parameters.
    encoders, heads, targets, pooling, split, by, learning_curve
        As in `pipeline.compare.compare`.

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
    tasks = baseline_jobs(params.evaluation.baselines, params.seed)
    for name in views:
        view = find_view(name, params, default_result_folder(), pooled)
        for head in dict.fromkeys(params.heads if heads is None else heads):
            settings = params.heads.get(head, {"kind": head})
            tasks.append(head_job(head, settings, params.seed, view))
    return Plan(params, rows, scored_split(split, rows), tasks, by, learning_curve)


def run_comparison(plan: Plan, time_limit_s: float = TIME_LIMIT_S) -> Iterator[Comparison]:
    """Take what was fitted before, fit the rest, and stack it all.

    Heads run one after the other in a process of their own. One that fails or takes longer than
    `time_limit_s` (without loading the view) is a row with an error, and is tried again next time.

    Yields
    ------
    Comparison
        Always the same one, whenever something is new in it; last, when all is done.

    Raises
    ------
    ParamsError
        For an unknown kind of head, or wrong settings.
    """
    found, cache = Comparison(plan), FitCache(plan.rows, default_result_folder())
    keys = {task.name: cache.key(task) for task in plan.tasks}
    found.entries = {name: Entry(name, fit=cache.get_fit(key)) for name, key in keys.items()}
    reused = {name: entry.fit for name, entry in found.entries.items() if entry.fit is not None}
    _add(found, reused, reused=True)
    with FitProcess(plan.rows, time_limit_s) as process:
        if len(reused) < len(plan.tasks):
            process.start()  # Python starts there while heads are checked here
            _check_heads(plan)
        yield found
        for task in plan.tasks:
            if task.name in reused:
                continue
            found.entries[task.name].began_s = time.monotonic()
            yield found
            _fit(found, task, process, cache)
            yield found
        if len(found.members) > 1:
            found.entries[STACK] = Entry(STACK, began_s=time.monotonic())
            yield found
            _stack(found, cache, cache.stack_key([keys[name] for name in found.members]))
        if plan.by is not None:
            named = {
                n: found.entries[n].fit.predictions
                for n in found.table()["name"]
                if n in found.done
            }
            found.slices = slice_table(named, plan.rows, plan.params, [plan.by], [plan.split])
        if plan.learning_curve and found.members:
            found.curve_of = next(n for n in found.table()["name"] if n in found.members)
            yield found
            _draw_curve(found, process, cache, keys[found.curve_of])
    cache.prune()
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
    statistics, parts = lists
    content = {
        "statistics": known_names(statistics, list(STATISTICS), "statistic"),
        "parts": known_names(parts, list(PARTS), "part"),
    }
    return Pooling.model_validate(content)


def scored_split(asked: Literal["oof", "val"] | None, rows: Rows) -> Literal["oof", "val"]:
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


def _add(found: Comparison, fits: dict[str, Fit], reused: bool = False) -> None:
    """Score fits, all at once, and enter them."""
    plan = found.plan
    predictions = {name: fit.predictions for name, fit in fits.items()}
    for name, each in score(predictions, plan.rows, plan.params, plan.split).items():
        found.entries[name] = Entry(name, fit=fits[name], score=each, reused=reused)


def _fit(found: Comparison, task: Job, process: FitProcess, cache: FitCache) -> None:
    from pipeline.fits.fitting import make_job_head  # loads the libraries of all heads

    key = cache.key(task)
    fit = cache.get_fit(key)  # another run at the same time may have been first
    is_there = fit is not None
    try:
        if fit is None:
            fit = process.call("fit", task.view, make_job_head(task))
            cache.put(key, fit.arrays)
        _add(found, {task.name: fit}, is_there)
    except (FailedFitError, ValueError) as error:
        details = getattr(error, "details", "")
        found.entries[task.name] = Entry(task.name, error=str(error), details=details)


def _stack(found: Comparison, cache: FitCache, key: str) -> None:
    fit = cache.get_fit(key)
    is_there = fit is not None
    try:
        if fit is None:
            from models.stack import fit_stack, stack_oof

            began_s, rows, n = time.perf_counter(), found.plan.rows, found.plan.rows.n_train
            predictions = [found.entries[name].fit.predictions for name in found.members]
            members = np.stack(predictions, axis=1)
            oof = stack_oof(members[:n], rows.y[:n], rows.fold_of_row)
            held = fit_stack(members[:n], rows.y[:n], rows.fold_of_row).predict(members[n:])
            fit = Fit(np.concatenate([oof, held]), time.perf_counter() - began_s)
            cache.put(key, fit.arrays)
        _add(found, {STACK: fit}, is_there)
    except ValueError as error:  # labels in too few folds
        found.entries[STACK] = Entry(STACK, error=str(error))


def _draw_curve(found: Comparison, process: FitProcess, cache: FitCache, fit_key: str) -> None:
    """Fit the best head on fewer people, or take it from the cache."""
    from pipeline.fits.fitting import make_job_head

    (task,) = (each for each in found.plan.tasks if each.name == found.curve_of)
    settings = curve_settings(found.plan.rows, found.plan.params)
    key = cache.curve_key(fit_key, **settings)
    arrays = cache.get(key)
    if arrays is None:
        head = make_job_head(task)
        try:
            points = process.call("learning_curve", task.view, head, *settings.values())
        except FailedFitError as error:
            found.curve_error = str(error)
            return
        arrays = curve_arrays(points)
        cache.put(key, arrays)
    found.curve = curve_table(arrays)
