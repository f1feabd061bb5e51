"""Heads on views, fitted one by one, cheap ones first: what is compared, and what came of it."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, takewhile
from typing import Literal

import numpy as np
import pandas as pd

from features.extraction.workers import Failure
from models.evaluation.scores import Score
from pipeline.clip_table import Rows, read_rows
from pipeline.fit import Fit, FitTask, Fitting, baseline_tasks, head_task
from pipeline.leaderboard import STACK, rows_of_splits, score, score_table
from pipeline.params import Params, ParamsError, head_faults, left_out_note, load_run
from pipeline.paths import PARAMS
from pipeline.settings_files import known_names, refuse
from pipeline.spread import fit_all
from pipeline.tables import score_text
from pipeline.views import JOIN, view_names

Split = Literal["oof", "val"]

TIME_LIMIT_S = 600.0
"""Longest time for one head on one view, without loading the view."""

LEFT_OUT = "left out: "
"""So begins the reason of what the budget has no room for."""

_OVERHEAD_S = 0.3
"""Of any fit, however small: what tiny ones take says little of large ones."""

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
    fits, scores, failures : dict of str to Fit, Score and Failure
        What was fitted; and why there is no fit, be it that the budget had no room for it.
    costs_s : dict of str to float
        How long each fit would take on a quiet machine, by its shape; empty until it is wanted.
    """

    params: Params
    rows: Rows
    split: Split
    tasks: list[FitTask]
    fits: dict[str, Fit] = field(default_factory=dict)
    scores: dict[str, Score] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    costs_s: dict[str, float] = field(default_factory=dict)

    @property
    def members(self) -> dict[str, FitTask]:
        """The heads on views that are done, which are stacked."""
        return {t.name: t for t in self.tasks if t.name in self.fits and not t.is_baseline}

    @property
    def remaining(self) -> list[FitTask]:
        """What is to be fitted yet, in its order: baselines, then what takes least."""
        rest = [task for task in self.tasks if task.name not in {**self.fits, **self.failures}]
        return sorted(rest, key=lambda task: -1.0 if task.is_baseline else self.estimate_s(task))

    @property
    def n_reused(self) -> int:
        """How many rows were fitted before."""
        return sum(fit.reused for fit in self.fits.values())

    def estimate_s(self, task: FitTask) -> float:
        """Return how long a fit will take: by its shape, and by what others took here.

        Those of the same head on other views tell most; else all heads do, by their median.
        """
        done = self.members.values()
        slower = [
            (self.fits[each.name].fit_s + _OVERHEAD_S) / (self.costs_s[each.name] + _OVERHEAD_S)
            for each in [each for each in done if each.head == task.head] or done
        ]
        return self.costs_s[task.name] * (float(np.median(slower)) if slower else 1.0)

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
        table = table.reindex(range(len(scores) + len(self.failures)))
        table.loc[len(scores) :, "name"] = list(self.failures)
        table["error"] = [""] * len(scores) + [each.reason for each in self.failures.values()]
        return table.fillna({"constant": ""})

    def outcome(self, name: str) -> str:
        """Say in one line what came of a row."""
        if name in self.failures:
            return f"{name}: {self.failures[name].reason}"
        r = score_text(self.scores[name].mean_pearson)
        return f"{name}: mean Pearson {r}, {self.fits[name].fit_s:.1f} s"


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
    budget_s: float = math.inf,
    on: str | None = None,
    tell: Callable[[str], object] = lambda _: None,
) -> Comparison:
    """Take what was fitted before, fit the rest in the order of its cost, and stack it all.

    Heads run one after the other in a process of their own. One that fails or takes too long is a
    row with an error, and is tried again next time.

    Parameters
    ----------
    found : Comparison
        From `plan_comparison`; it is filled and returned.
    time_limit_s : float
        Longest time for one head on one view, without loading the view.
    budget_s : float
        What all may take together. A head whose estimate does not fit into the rest is left out,
        and what is under way when the time is over is ended. A tenth is kept for the stack.
    on : str, optional
        A cluster, as `features.extraction.cluster.Cluster` names it, where heads run side by side.
    tell : callable
        Called with a line for each row that is new, and about how long the rest will take.
    """
    end_s, fitting = time.monotonic() + _HEADS_SHARE * budget_s, Fitting(found.rows)
    known = {task.name: fitting.known(task) for task in found.tasks}
    _add(found, {name: fit for name, fit in known.items() if fit is not None})
    if len(found.fits) < len(found.tasks):
        _check_heads(found)

    def enter(name: str, done: Fit | Failure) -> None:
        if isinstance(done, Fit):
            _add(found, {name: done})
        else:
            found.failures[name] = done
        rest = [task for task in found.remaining if not task.is_baseline]
        to_go = f"; about {sum(map(found.estimate_s, rest)):.2g} s to go" if rest else ""
        if not (isinstance(done, Fit) and done.reused):
            tell(found.outcome(name) + to_go)

    def next_tasks() -> Iterator[FitTask]:
        """Draw what is to be fitted, as long as the budget has room for it."""
        while remaining := found.remaining:
            task, left_s = remaining[0], end_s - time.monotonic()
            if left_s < (needs_s := found.estimate_s(task)) / _DOUBT:
                why = f"about {needs_s:.3g} s, and {max(0.0, left_s):.3g} s were left"
                enter(task.name, Failure(LEFT_OUT + why))
            else:
                yield replace(task, limit_s=max(0.0, min(time_limit_s, left_s)))

    heads = [replace(task, limit_s=time_limit_s) for task in found.remaining if on]
    side_by_side = takewhile(lambda _: time.monotonic() < end_s, fit_all(fitting, heads, on))
    for task, fit in chain(side_by_side, fit_all(fitting, next_tasks(), in_worker=True)):
        if isinstance(fit, Failure) and time.monotonic() >= end_s:
            why = f"ended after {task.limit_s:.3g} s, when the budget was spent"
            fit = Failure(LEFT_OUT + why)
        enter(task.name, fit)
    if len(found.members) > 1:
        try:
            members = [(task, found.fits[name]) for name, task in found.members.items()]
            enter(STACK, fitting.stacked(members))
        except ValueError as error:
            enter(STACK, Failure(str(error)))
    return found


def known_view(asked: str, params: Params) -> str:
    """Name a view as `view_names` does, whatever the order in which its encoders were given."""
    known = [*params.feature_names, *params.left_out]
    names = known_names(asked.split(JOIN), known, "encoder")
    if lacking := [each for each in params.left_out if each in names]:
        raise ParamsError(f"the view {asked!r} cannot be had. {left_out_note(lacking)}")
    return JOIN.join(sorted(names))


def _check_heads(found: Comparison) -> None:
    """Check kinds and settings of heads, which loads what they are made of; estimate costs."""
    from models.heads import HEADS, estimated_cost

    heads = {task.name.partition("/")[0]: task.head for task in found.tasks}
    known_heads = dict.fromkeys([*found.params.heads, *HEADS])
    known_names((n for n, entry in heads.items() if entry.kind not in HEADS), known_heads, "head")
    refuse(PARAMS, head_faults({name: entry.model_dump() for name, entry in heads.items()}))
    for task in found.tasks:
        shape = found.rows.n_train, sum(task.bands) or 1, found.rows.y.shape[1]
        found.costs_s[task.name] = estimated_cost(task.make_head(), *shape)


def _add(found: Comparison, fits: dict[str, Fit]) -> None:
    """Score fits, all at once, and enter them."""
    predictions = {name: fit.predictions for name, fit in fits.items()}
    found.scores |= score(predictions, found.rows, found.params, found.split)
    found.fits |= fits
