"""Heads on views, fitted one by one and scored: what is compared, and how far it is."""

import pickle
import time
import unicodedata
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
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
from pipeline.fit import Fit, FitTask, Fitting, baseline_tasks, head_task
from pipeline.leaderboard import STACK, rows_of_splits, score, score_table
from pipeline.params import Params, ParamsError, head_faults, left_out_note, load_run
from pipeline.paths import PARAMS
from pipeline.result_cache import digest_of, keep_result, load_result
from pipeline.settings_files import nearest, refuse
from pipeline.views import JOIN, view_names

Split = Literal["oof", "val"]

TIME_LIMIT_S = 600.0
"""Longest time for one head on one view, without loading the view."""

CURVE_OF = "learning curve of "
"""Begins the name of what is no row."""

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
    running: tuple[str, float] | None = None
    slices: pd.DataFrame | None = None
    curve: pd.DataFrame | None = None

    @property
    def members(self) -> dict[str, FitTask]:
        """The heads on views that are done, which are stacked."""
        done = {task.name: task for task in self.tasks if task.name in self.fits}
        return {name: task for name, task in done.items() if not task.is_baseline}

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
        table = score_table(self.scores, self.params.targets, self.split)
        took_s = [round(self.fits[name].fit_s, 6) for name in table["name"]]
        table.insert(list(table).index("constant"), "fit_s", np.array(took_s, np.float64))
        reasons = {name: each.reason for name, each in self.failures.items()}
        failed = {name: why for name, why in reasons.items() if not name.startswith(CURVE_OF)}
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
    params = load_run(params_file, check_heads=False)
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


def run_comparison(found: Comparison, time_limit_s: float = TIME_LIMIT_S) -> Iterator[Comparison]:
    """Take what was fitted before, fit the rest, and stack it all.

    Heads run one after the other in a process of their own, which has all processors to itself. One
    that fails or takes longer than `time_limit_s` is a row with an error, and is tried again next
    time.

    Yields
    ------
    Comparison
        The one given, whenever something is new in it; last, when all is done.

    Raises
    ------
    ParamsError
        For an unknown kind of head, or wrong settings.
    """
    fitting = Fitting(found.rows)
    known = {task.name: fitting.known(task) for task in found.tasks}
    _add(found, {name: fit for name, fit in known.items() if fit is not None})
    if len(found.fits) < len(found.tasks):
        _check_heads(found)
    yield found
    pickled = pickle.dumps(found.rows)
    with Workers(1) as workers:
        for task in found.tasks:
            if task.name not in found.fits:
                yield _begin(found, task.name)
                with _failing(found, task.name):
                    fit = workers.call(_fit, (pickled, task, None), limit_s=time_limit_s)
                    _add(found, {task.name: fit})
                yield found
        if len(found.members) > 1:
            yield _begin(found, STACK)
            with _failing(found, STACK):
                _add(found, {STACK: _stack(found, fitting)})
        order = [name for name in found.table()["name"] if name in found.fits]
        if found.by is not None:
            named = {name: found.fits[name].predictions for name in order}
            found.slices = slice_table(named, found.rows, found.params, [found.by], [found.split])
        best = [found.members[name] for name in order if name in found.members][:1]
        for task in best if found.learning_curve else ():
            found.curve = known_learning_curve(fitting, task, found.params)
            if found.curve is None:
                yield _begin(found, name := f"{CURVE_OF}{task.name}")
                with _failing(found, name):
                    work = pickled, task, found.params
                    found.curve = workers.call(_fit, work, limit_s=time_limit_s)
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
    known = [*params.feature_names, *params.left_out]
    names = known_names(asked.split(JOIN), known, "encoder")
    if lacking := [each for each in params.left_out if each in names]:
        raise ParamsError(f"the view {asked!r} cannot be had. {left_out_note(lacking)}")
    return JOIN.join(sorted(names))


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
    predictions = {name: fit.predictions for name, fit in fits.items()}
    found.scores |= score(predictions, found.rows, found.params, found.split)
    found.fits |= fits


def _stack(found: Comparison, fitting: Fitting) -> Fit:
    """Stack the members, or take from the cache what they were stacked to before."""
    key = digest_of(stack_of=[fitting.key(task) for task in found.members.values()])
    known = load_result(key)
    if known is not None:
        return Fit(known["predictions"], float(known["fit_s"]), reused=True)
    began_s = time.perf_counter()
    stacked = stack_members([found.fits[name].predictions for name in found.members], found.rows)
    fit = Fit(stacked, time.perf_counter() - began_s)
    keep_result(key, {"predictions": fit.predictions, "fit_s": np.array(fit.fit_s)})
    return fit


@lru_cache(maxsize=1)
def _fitting(rows: bytes) -> Fitting:
    """In the worker: the view that was used last stays loaded from one task to the next."""
    return Fitting(pickle.loads(rows))


def _fit(work: tuple[bytes, FitTask, Params | None]) -> Generator[Any, None, Any]:
    """In the worker: fit a head; or with parameters, make its learning curve."""
    rows, task, params = work
    yield Patience(_LOAD_LIMIT_S)
    fitting = _fitting(rows)
    fitting.view(task)
    task.make_head()  # loads its library
    yield "loaded"
    return fitting.fit(task) if params is None else learning_curve_table(fitting, task, params)
