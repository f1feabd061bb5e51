"""Heads on views, fitted one by one, cheap ones first: what is compared, and how far it is."""

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, takewhile
from typing import Literal

import numpy as np
import pandas as pd

from features.extraction.workers import Failure
from models.evaluation.scores import Score
from pipeline.clip_table import Rows, read_rows
from pipeline.fit import Fit, FitTask, Fitting, baseline_tasks, head_task, stack_task
from pipeline.leaderboard import STACK, rows_of_splits, score, score_table
from pipeline.params import Params, ParamsError, head_faults, left_out_note, load_run
from pipeline.paths import PARAMS
from pipeline.settings_files import known_names, refuse
from pipeline.spread import fit_all
from pipeline.views import JOIN, view_names

Split = Literal["oof", "val"]

TIME_LIMIT_S = 600.0
"""Longest time for one head on one view, without loading the view."""

BUDGET_S = 120.0
"""Within which `eri compare` answers, unless told otherwise."""

LEFT_OUT = "left out"
"""What the budget has no room for is called so, and is no failure."""

_OVERHEAD_S = 0.3
"""Of any fit, however small: what tiny ones take says little of large ones."""

_QUICK_S = 10.0
"""What takes less on a machine of its own is left out only where a budget was asked for."""

_DOUBT = 2.0
"""How many times too long an estimate may be: what is begun in vain is ended with the budget."""

_HEADS_SHARE = 0.9
"""Of the budget; the rest is left to the stack."""


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
    fits, scores : dict of str to Fit and Score
        What was fitted.
    failures, left_out : dict of str to Failure and str
        Why there is no fit: it failed, or the budget had no room for it.
    took_s : dict of str to float
        Seconds that each fit took, or had before it was ended.
    running : (str, float), optional
        What is fitted now, and since when, by `time.monotonic`.
    """

    params: Params
    rows: Rows
    split: Split
    tasks: list[FitTask]
    fits: dict[str, Fit] = field(default_factory=dict)
    scores: dict[str, Score] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    took_s: dict[str, float] = field(default_factory=dict)
    running: tuple[str, float] | None = None
    _costs_s: dict[str, float] = field(default_factory=dict, repr=False)

    @property
    def members(self) -> dict[str, FitTask]:
        """The heads on views that are done, which are stacked."""
        return {t.name: t for t in self.tasks if t.name in self.fits and not t.is_baseline}

    @property
    def errors(self) -> dict[str, str]:
        """Why rows have no fit, in words."""
        left_out = {name: f"{LEFT_OUT}: {why}" for name, why in self.left_out.items()}
        return {name: each.reason for name, each in self.failures.items()} | left_out

    @property
    def remaining(self) -> list[FitTask]:
        """What is to be fitted yet, in its order: baselines, then what takes least."""
        rest = [task for task in self.tasks if task.name not in {**self.fits, **self.errors}]
        return sorted(rest, key=lambda task: -1.0 if task.is_baseline else self.estimate_s(task))

    def estimate_s(self, task: FitTask) -> float:
        """Return how long a fit will take: by its shape, and by what others took here.

        Those of the same head on other views tell most; else all heads do, by their median.
        """
        seen = [each for each in self.tasks if each.name in self.took_s and not each.is_baseline]
        own = [each for each in seen if each.head == task.head] or seen
        slower = [
            (self.took_s[t.name] + _OVERHEAD_S) / (self._cost_s(t) + _OVERHEAD_S) for t in own
        ]
        return self._cost_s(task) * (float(np.median(slower)) if slower else 1.0)

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
        errors = self.errors
        table = table.reindex(range(len(scores) + len(errors)))
        table.loc[len(scores) :, "name"] = list(errors)
        table["error"] = [""] * len(scores) + list(errors.values())
        return table.fillna({"constant": ""})

    def _cost_s(self, task: FitTask) -> float:
        from models.heads import estimated_cost  # imports the libraries that fit

        if task.name not in self._costs_s:
            shape = self.rows.n_train, sum(task.bands) or 1, self.rows.y.shape[1]
            self._costs_s[task.name] = estimated_cost(task.make_head(), *shape)
        return self._costs_s[task.name]


def plan_comparison(
    encoders: Sequence[str] | None = None,
    heads: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    split: Split | None = None,
) -> Comparison:
    """Check every name that was asked for, and list what has to be fitted.

    Arguments and errors are those of `pipeline.compare.compare`.
    """
    params = load_run(check_heads=False)
    views = view_names(params.feature_names)
    if encoders is not None:
        views = list(dict.fromkeys(known_view(view, params) for view in encoders))
    chosen = known_names(targets or params.targets, params.targets, "target")
    in_order = tuple(target for target in params.targets if target in chosen)
    asked = list(dict.fromkeys(params.heads if heads is None else heads))
    params = params.model_copy(update={"targets": in_order})
    return plan_fits(params, [(head, view) for view in views for head in asked], split)


def plan_fits(
    params: Params, fits: Iterable[tuple[str, str]], split: Split | None = None
) -> Comparison:
    """List heads on views, which are known, and the baselines; take what they need of `params`.

    By default Val is scored, or out of fold where fewer than two of its clips are labelled; to ask
    for Val there is a ParamsError.
    """
    tasks = {f"{head}/{view}": head_task(head, view, params) for head, view in fits}
    used = {name for task in tasks for name in task.partition("/")[2].split(JOIN)}
    params = params.model_copy(
        update={
            "encoders": {name: spec for name, spec in params.encoders.items() if name in used},
            "stores": {name: store for name, store in params.stores.items() if name in used},
        }
    )
    rows = read_rows(params)
    can_be_val = "val" in rows_of_splits(rows)
    if split == "val" and not can_be_val:
        raise ParamsError(
            "fewer than two clips of Val are labelled: only the split oof can be scored"
        )
    of_all = [*baseline_tasks(params), *tasks.values()]
    return Comparison(params, rows, split or ("val" if can_be_val else "oof"), of_all)


def run_comparison(
    found: Comparison,
    time_limit_s: float = TIME_LIMIT_S,
    budget_s: float | None = math.inf,
    on: str | None = None,
) -> Iterator[Comparison]:
    """Take what was fitted before, fit the rest in the order of its cost, and stack it all.

    Heads run one after the other in a process of their own. One that fails or takes too long is a
    row with an error, and is tried again next time.

    Parameters
    ----------
    found : Comparison
        From `plan_comparison`; it is filled.
    time_limit_s : float
        Longest time for one head on one view, without loading the view.
    budget_s : float, optional
        What all may take together. A head whose estimate does not fit into the rest is left out,
        and what is under way when the time is over is ended. None: `BUDGET_S`, but not on a
        cluster, and what is quick is never left out.
    on : str, optional
        A cluster, as `features.extraction.cluster.Cluster` names it, where heads run side by side.

    Yields
    ------
    Comparison
        The one given, whenever something is new in it; last, when all is done.
    """
    began_s, fitting = time.monotonic(), Fitting(found.rows)
    known = {task.name: fitting.known(task) for task in found.tasks}
    _add(found, {name: fit for name, fit in known.items() if fit is not None})
    if len(found.fits) < len(found.tasks):
        _check_heads(found)
    quick_s = 0.0
    if budget_s is None:
        budget_s, quick_s = (BUDGET_S if on is None else math.inf), _QUICK_S
    yield found

    def left_s(task: FitTask) -> float:
        """Return what is left of the budget for a task; what is quick is not held to it."""
        if quick_s and (task.members or task.is_baseline or found._cost_s(task) < quick_s):
            return math.inf
        share = 1.0 if task.members else _HEADS_SHARE
        return began_s + share * budget_s - time.monotonic()

    def begun(task: FitTask) -> FitTask:
        """Note that a task begins, within its limits; loading counts only against a budget."""
        found.running = task.name, time.monotonic()
        limit_s = min(time_limit_s, max(0.0, left := left_s(task)))
        load_limit_s = task.load_limit_s if left == math.inf else 0.0
        return replace(task, limit_s=limit_s, load_limit_s=load_limit_s)

    def heads_and_stack() -> Iterator[FitTask]:
        """Draw what is to be fitted, as long as the budget has room for it."""
        while remaining := found.remaining:
            task, needs_s = remaining[0], found.estimate_s(remaining[0])
            if (left := left_s(task)) < needs_s / _DOUBT:
                why = f"about {needs_s:.3g} s, and {max(0.0, left):.3g} s were left"
                found.left_out[task.name] = why
            else:
                yield begun(task)
        if len(found.members) > 1:
            stack = stack_task([*found.members.values()])
            if (fit := fitting.known(stack)) is not None:
                _add(found, {STACK: fit})
            else:
                yield begun(stack)

    heads = [replace(task, limit_s=time_limit_s) for task in found.remaining if on]
    side_by_side = takewhile(lambda _: left_s(heads[0]) > 0, fit_all(fitting, heads, on))
    one_by_one = fit_all(fitting, heads_and_stack(), in_worker=True)
    for task, fit in chain(side_by_side, one_by_one):
        if isinstance(fit, Fit):
            _add(found, {task.name: fit})
        elif left_s(task) > 0:
            found.failures[task.name] = fit
        else:
            ended = f"ended after {task.limit_s:.3g} s, when the budget was spent"
            found.left_out[task.name] = ended
        if found.running is not None:
            name, since_s = found.running
            found.took_s.setdefault(name, time.monotonic() - since_s)
        found.running = None
        yield found
    yield found


def known_view(asked: str, params: Params) -> str:
    """Name a view as `view_names` does, whatever the order in which its encoders were given."""
    known = [*params.feature_names, *params.left_out]
    names = known_names(asked.split(JOIN), known, "encoder")
    if lacking := [each for each in params.left_out if each in names]:
        raise ParamsError(f"the view {asked!r} cannot be had. {left_out_note(lacking)}")
    return JOIN.join(sorted(names))


def _check_heads(found: Comparison) -> None:
    """Check kinds and settings of heads, which loads the libraries that they are made of."""
    from models.heads import HEADS

    heads = {task.name.partition("/")[0]: task.head for task in found.tasks}
    known_heads = dict.fromkeys([*found.params.heads, *HEADS])
    known_names((n for n, entry in heads.items() if entry.kind not in HEADS), known_heads, "head")
    refuse(PARAMS, head_faults({name: entry.model_dump() for name, entry in heads.items()}))


def _add(found: Comparison, fits: dict[str, Fit]) -> None:
    """Score fits, all at once, and enter them."""
    predictions = {name: fit.predictions for name, fit in fits.items()}
    found.scores |= score(predictions, found.rows, found.params, found.split)
    found.took_s |= {name: fit.fit_s for name, fit in fits.items()}
    found.fits |= fits
