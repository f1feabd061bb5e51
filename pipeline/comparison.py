"""Heads on views, fitted one by one, cheap ones first: what is compared, and how far it is."""

import math
import pickle
import time
import unicodedata
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from features.extraction.workers import Failure, Patience, WorkerError, Workers
from features.pool import PARTS, STATISTICS, Pooling
from models.evaluation.scores import Score
from pipeline.breakdowns import (
    known_learning_curve,
    learning_curve_table,
    slice_table,
    stack_members,
)
from pipeline.clip_table import Rows, read_rows
from pipeline.fit import Fit, FitTask, Fitting, baseline_tasks, head_task, keep_fit, kept_fit
from pipeline.leaderboard import STACK, Predictions, rows_of_splits, score, score_table
from pipeline.params import Params, ParamsError, head_faults, load_params
from pipeline.paths import PARAMS
from pipeline.result_cache import digest_of
from pipeline.settings_files import nearest, refuse
from pipeline.views import JOIN, view_names

Split = Literal["oof", "val"]

TIME_LIMIT_S = 600.0
"""Longest time for one head on one view, without loading the view."""

CURVE = "learning curve"
"""Runs like a row, and is none."""

LEFT_OUT = "left out"
"""Begins the reason of what the budget has no room for."""

CHEAP_FIRST = ("mean", "ridge", "pls", "kernel_ridge", "banded_ridge", "neighbours", "linear_svr")
CHEAP_FIRST += ("lightgbm", "svr", "mlp", "elastic_net", "random_trees")
"""Kinds of heads, in the order in which they are tried as long as their cost is not known."""

_UNKNOWN_FACTOR = 10.0
"""A head not seen yet is taken for so much costlier than the costliest of a cheaper kind."""

_HEADS_SHARE = 0.9
"""Of the budget; the rest is left to the stack."""

_LOAD_LIMIT_S = 600.0


@dataclass
class Comparison:
    """What is compared, and what came of it, which fills up while it runs; by name of the row.

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
    fits, scores, failures : dict of str to Fit, Score and Failure
        What came of each row: its fit with its score, or why there is none.
    took_s : dict of str to float
        Seconds that each row took, or had before it was ended.
    running : (str, float), optional
        What is fitted now, and since when, by `time.monotonic`.
    slices, curve : DataFrame, optional
        Scores by slice, and the learning curve of the best head, where asked for.
    """

    params: Params
    rows: Rows
    split: Split
    tasks: list[FitTask]
    by: str | None = None
    learning_curve: bool = False
    fits: dict[str, Fit] = field(default_factory=dict)
    scores: dict[str, Score] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    took_s: dict[str, float] = field(default_factory=dict)
    running: tuple[str, float] | None = None
    slices: pd.DataFrame | None = None
    curve: pd.DataFrame | None = None

    @property
    def members(self) -> dict[str, FitTask]:
        """The heads on views that are done, which are stacked."""
        done = {task.name: task for task in self.tasks if task.name in self.fits}
        return {name: task for name, task in done.items() if not task.is_baseline}

    @property
    def remaining(self) -> list[FitTask]:
        """What is to be fitted yet, in the order in which it will be: what takes least comes first.

        A head of unknown cost comes after those of cheaper kinds, unless they take far longer than
        they did so far.
        """
        rest = [task for task in self.tasks if task.name not in {**self.fits, **self.failures}]

        def order(task: FitTask) -> tuple[float, int, int]:
            rank, took_s = _rank(task), self.estimate_s(task)
            if not math.isfinite(took_s):
                cheaper = [t.name for t in self.tasks if not t.is_baseline and _rank(t) < rank]
                longest_s = max((self.took_s.get(name, 0.0) for name in cheaper), default=0.0)
                took_s = _UNKNOWN_FACTOR * longest_s
            return -1.0 if task.is_baseline else took_s, rank, sum(task.widths)

        return sorted(rest, key=order)

    @property
    def n_reused(self) -> int:
        """Number of rows that were fitted before."""
        return sum(fit.reused for fit in self.fits.values())

    def estimate_s(self, task: FitTask) -> float:
        """Return how long a fit will take, by what its head took on other views of the same clips.

        Seconds grow with a power of the number of columns: the one that fits what was seen, or of
        a single view the square root. An estimate that is too low costs idle time only; one that
        is too high leaves out a row that had room.

        Returns
        -------
        float
            Infinite where the head was not seen on any view.
        """
        seen = [
            (math.log(max(1, sum(each.widths))), math.log(max(1e-3, self.took_s[each.name])))
            for each in self.tasks
            if each.name in self.took_s and each.head == task.head and not each.is_baseline
        ]
        if not seen:
            return math.inf
        widths, log_s = np.array(seen).T
        steep = np.polyfit(widths, log_s, 1)[0] if np.ptp(widths) > 0.1 else 0.5
        away = math.log(max(1, sum(task.widths))) - widths
        near = int(np.abs(away).argmin())
        return math.exp(log_s[near] + min(max(steep, 0.0), 2.0) * away[near])

    def table(self) -> pd.DataFrame:
        """Return the leaderboard so far, best first, then what failed or was left out.

        Returns
        -------
        DataFrame
            As `pipeline.leaderboard.score_table`, and ``fit_s``, the seconds that a fit took, and
            ``error``, empty where there is none.
        """
        in_order = [*(task.name for task in self.tasks), STACK]  # not that in which they came
        scores = {name: self.scores[name] for name in in_order if name in self.scores}
        table = score_table(scores, self.params.targets, self.split)
        took_s = [round(self.fits[name].fit_s, 6) for name in table["name"]]
        table.insert(list(table).index("constant"), "fit_s", np.array(took_s, np.float64))
        failed = {name: each.reason for name, each in self.failures.items() if name != CURVE}
        table = table.reindex(range(len(table) + len(failed)))
        table["error"] = [""] * len(self.scores) + list(failed.values())
        table.loc[table["error"] != "", "name"] = list(failed)
        return table.fillna({"constant": ""})


def plan_comparison(
    params_file: Path,
    encoders: Sequence[str] | None = None,
    heads: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    pooling: str | None = None,
    split: Split | None = None,
    by: str | None = None,
    learning_curve: bool = False,
) -> Comparison:
    """Check every name that was asked for, and list what has to be fitted.

    Parameters
    ----------
    params_file : Path
        The parameters.
    encoders, heads, targets, pooling, split
        As in `pipeline.compare.compare`.
    by, learning_curve
        As in `Comparison`.

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
    pooled = None if pooling is None else _parse_pooling(pooling)
    rows = read_rows(params)
    if by is not None:
        known_names([by], list(map(str, rows.clips.columns)), "column")
    if learning_curve:
        scored_split("val", rows)  # it is scored there
    asked = list(dict.fromkeys(params.heads if heads is None else heads))
    tasks = baseline_tasks(params)
    tasks += [head_task(head, view, params, pooled) for view in views for head in asked]
    return Comparison(params, rows, scored_split(split, rows), tasks, by, learning_curve)


def run_comparison(
    found: Comparison, time_limit_s: float = TIME_LIMIT_S, budget_s: float = math.inf
) -> Iterator[Comparison]:
    """Take what was fitted before, fit the rest in the order of its cost, and stack it all.

    Heads run one after the other in a process of their own, which has all processors to itself. One
    that fails or takes too long is a row with an error, and is tried again next time.

    Parameters
    ----------
    found : Comparison
        From `plan_comparison`; it is filled.
    time_limit_s : float
        Longest time for one head on one view, without loading the view.
    budget_s : float
        What all may take together. A head whose estimate does not fit into the rest is left out,
        and what is under way when the time is over is ended.

    Yields
    ------
    Comparison
        The one given, whenever something is new in it; last, when all is done.

    Raises
    ------
    ParamsError
        For an unknown kind of head, or wrong settings.
    """
    began_s = time.monotonic()
    fitting = Fitting(found.rows)
    known = {task.name: fitting.known(task) for task in found.tasks}
    _add(found, {name: fit for name, fit in known.items() if fit is not None})
    if len(found.fits) < len(found.tasks):
        _check_heads(found)
    yield found
    pickled = pickle.dumps(found.rows)
    with Workers(1) as workers:

        def attempt(name: str, work: Callable[[Any], Any], what: object, share: float = 1) -> Any:
            """Do something in the worker; None, and the reason noted, where nothing comes of it."""
            task_s = time.monotonic()
            left_s = began_s + share * budget_s - task_s
            limit_s = time_limit_s if budget_s == math.inf else min(time_limit_s, left_s)
            try:
                if left_s <= 0:
                    raise WorkerError(Failure(f"{LEFT_OUT}: the budget was spent"))
                return workers.call(work, (pickled, what, budget_s == math.inf), limit_s=limit_s)
            except WorkerError as error:
                found.failures[name] = error.failure
                if time.monotonic() - task_s >= left_s > 0:
                    reason = f"{LEFT_OUT}: ended after {left_s:.3g} s, when the budget was spent"
                    found.failures[name] = Failure(reason)
            finally:
                found.took_s[name], found.running = time.monotonic() - task_s, None
            return None

        while remaining := found.remaining:
            task, needs_s = remaining[0], found.estimate_s(remaining[0])
            left_s = began_s + _HEADS_SHARE * budget_s - time.monotonic()
            if left_s < needs_s < math.inf:
                reason = f"about {needs_s:.3g} s, and {max(0.0, left_s):.3g} s were left"
                found.failures[task.name] = Failure(f"{LEFT_OUT}: {reason}")
                continue
            yield _begin(found, task.name)
            fit = attempt(task.name, _fit, task, _HEADS_SHARE)
            _add(found, {} if fit is None else {task.name: fit})
            yield found
        if len(found.members) > 1:
            yield _begin(found, STACK)
            key = digest_of(stack_of=[fitting.key(task) for task in found.members.values()])
            members = [found.fits[name].predictions for name in found.members]
            fit = kept_fit(key) or attempt(STACK, _stack, (key, members))
            _add(found, {} if fit is None else {STACK: fit})
        order = [name for name in found.table()["name"] if name in found.fits]
        if found.by is not None:
            named = {name: found.fits[name].predictions for name in order}
            found.slices = slice_table(named, found.rows, found.params, [found.by], [found.split])
        best = [found.members[name] for name in order if name in found.members][:1]
        for task in best if found.learning_curve else ():
            found.curve = known_learning_curve(fitting, task, found.params)
            if found.curve is None:
                yield _begin(found, CURVE)
                found.curve = attempt(CURVE, _curve, (task, found.params))
    found.running = None
    yield found


def known_names(asked: Sequence[str], known: Sequence[str], what: str) -> list[str]:
    """Return the names asked for, each once.

    Raises
    ------
    ParamsError
        For an unknown one; names the nearest and all known ones.
    """
    # Shells and files may spell one name in two forms of Unicode.
    forms = {unicodedata.normalize("NFC", name): name for name in known}
    for name in asked:
        if unicodedata.normalize("NFC", name) not in forms:
            raise ParamsError(f"unknown {what} {name!r}{nearest(name, known)}")
    same = (name if name in known else forms[unicodedata.normalize("NFC", name)] for name in asked)
    return list(dict.fromkeys(same))


def known_view(asked: str, params: Params) -> str:
    """Name a view as `view_names` does, whatever the order in which its encoders were given.

    Raises
    ------
    ParamsError
        For an unknown encoder; as `known_names`.
    """
    return JOIN.join(sorted(known_names(asked.split(JOIN), params.feature_names, "encoder")))


def scored_split(asked: Split | None, rows: Rows) -> Split:
    """Return the split that is scored: by default Val, or out of fold where it has too few labels.

    Raises
    ------
    ParamsError
        When Val is asked for and has labels of fewer than two clips.
    """
    has_labels = "val" in rows_of_splits(rows)
    if asked == "val" and not has_labels:
        raise ParamsError(
            "fewer than two clips of Val are labelled: only the split oof can be scored"
        )
    return asked or ("val" if has_labels else "oof")


def _check_heads(found: Comparison) -> None:
    """Check kinds and settings of heads, which loads the libraries that they are made of."""
    from models.heads import HEADS

    heads = {task.name.partition("/")[0]: task.head for task in found.tasks}
    known_heads = list(dict.fromkeys([*found.params.heads, *HEADS]))
    for name, entry in heads.items():
        if entry.kind not in HEADS:
            raise ParamsError(f"unknown head {name!r}{nearest(name, known_heads)}")
    refuse(PARAMS, head_faults({name: entry.model_dump() for name, entry in heads.items()}))


def _parse_pooling(text: str) -> Pooling:
    """Read ``statistics/parts``, names joined by commas."""
    lists = [part.split(",") for part in text.split("/")]
    if len(lists) != 2:
        raise ParamsError(
            f"the pooling {text!r} is not of the form statistics/parts: expected, for example, "
            "'mean,std/whole,halves'"
        )
    statistics = known_names(lists[0], list(STATISTICS), "statistic")
    parts = known_names(lists[1], list(PARTS), "part")
    return Pooling.model_validate({"statistics": statistics, "parts": parts})


def _rank(task: FitTask) -> int:
    kind = task.head.kind
    return CHEAP_FIRST.index(kind) if kind in CHEAP_FIRST else len(CHEAP_FIRST)


def _begin(found: Comparison, name: str) -> Comparison:
    found.running = name, time.monotonic()
    return found


def _add(found: Comparison, fits: dict[str, Fit]) -> None:
    """Score fits, all at once, and enter them."""
    predictions = {name: fit.predictions for name, fit in fits.items()}
    found.scores |= score(predictions, found.rows, found.params, found.split)
    found.took_s = {name: fit.fit_s for name, fit in fits.items()} | found.took_s
    found.fits |= fits


@lru_cache(maxsize=1)
def _fitting(rows: bytes) -> Fitting:
    """In the worker: the view that was used last stays loaded from one task to the next."""
    return Fitting(pickle.loads(rows))


def _fit(work: tuple[bytes, FitTask, bool]) -> Generator[Any, None, Fit]:
    """In the worker: fit a head; unless there is a budget, loading does not count."""
    rows, task, is_patient = work
    if is_patient:
        yield Patience(_LOAD_LIMIT_S)
        _fitting(rows).view(task)
        task.make_head()  # loads its library
        yield "loaded"
    return _fitting(rows).fit(task)


def _curve(work: tuple[bytes, tuple[FitTask, Params], bool]) -> pd.DataFrame:
    """In the worker: make the learning curve of a head."""
    rows, (task, params), _ = work
    return learning_curve_table(_fitting(rows), task, params)


def _stack(work: tuple[bytes, tuple[str, list[Predictions]], bool]) -> Fit:
    """In the worker: stack the predictions of members, and keep the result."""
    rows, (key, members), _ = work
    began_s = time.perf_counter()
    stacked = stack_members(members, _fitting(rows).rows)
    return keep_fit(key, Fit(stacked, time.perf_counter() - began_s))
