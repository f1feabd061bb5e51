"""In which order heads are fitted, and what a budget leaves room for, on a simulated clock."""

import math
import re
from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.extraction.workers import Failure, WorkerError
from pipeline.compare import board_text, progress
from pipeline.comparison import plan_comparison, run_comparison
from pipeline.fit import Fit

BASELINES = ["baseline/mean", "baseline/duration"]


class Machine:
    """In place of worker processes: a fit takes a stated time, of a clock that waits for nobody."""

    def __init__(self, costs_s):
        self.costs_s, self.now_s, self.begun, self.found, self.said = costs_s, 0.0, [], None, []

    def monotonic(self):
        return self.now_s

    def __call__(self, n_workers):
        return nullcontext(self)

    def call(self, work, task, *, limit_s):
        name = task[1].name
        self.begun.append(name)
        self.said.append(progress(self.found))
        cost_s = self.costs_s.get(name, 0.0)
        self.now_s += min(cost_s, limit_s)
        if cost_s > limit_s:
            raise WorkerError(Failure(f"no result within {limit_s:g} s"))
        return Fit(np.random.default_rng(len(self.begun)).normal(size=(40, 3)), cost_s)


def cost_s(head, n_rows, n_columns, n_targets):
    return n_columns * {"RidgeHead": 0.01, "MLPHead": 5}.get(type(head).__name__, 1)


@pytest.fixture
def on_machine(project, monkeypatch):
    """Compare heads whose fits on voice, face and both take stated times; give what was shown."""

    def compare_there(costs_s, budget_s=math.inf):
        made = Machine({f"{h}/{v}": s for h, each in costs_s.items() for v, s in each.items()})
        monkeypatch.setattr("pipeline.spread.Workers", made)
        for module in ("compare", "comparison"):
            monkeypatch.setattr(f"pipeline.{module}.time", made)
        monkeypatch.setattr("models.heads.estimated_cost", cost_s)
        made.found = plan_comparison(heads=list(costs_s))
        *_, found = run_comparison(made.found, budget_s=budget_s)
        return made, found, [*made.said, progress(found)]

    return compare_there


def costs(*seconds):
    return dict(zip(("voice", "face", "face+voice"), seconds, strict=True))


def test_cheap_heads_come_first_and_tell_how_long_the_rest_will_take(on_machine):
    all_s = {"mlp": costs(40, 60, 90), "ridge": costs(0.1, 0.2, 0.3), "svr": costs(1, 2, 3)}
    made, found, said = on_machine(all_s)
    order = [f"{head}/{view}" for head in ("ridge", "svr", "mlp") for view in all_s["mlp"]]
    assert made.begun == [*BASELINES, *order, "stack"]
    assert not found.errors
    to_go = [float(each.split("; about ")[1].split()[0]) for each in said if "to go" in each]
    assert 20 < to_go[-1] < 150  # for the last one, of 90 s, by what it took on other views
    assert "mlp/face+voice has taken 0 s" in said[-3]
    assert "to go" not in said[-1]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seconds=st.lists(st.floats(0.1, 100), min_size=9, max_size=9),
    budget_s=st.floats(1, 1000),
)
def test_a_budget_is_kept_and_what_has_no_room_is_named(on_machine, seconds, budget_s):
    all_s = {h: costs(*seconds[k : k + 3]) for k, h in enumerate(("ridge", "lightgbm", "mlp"))}
    made, found, said = on_machine(all_s, budget_s)
    assert made.now_s <= budget_s + 1e-6
    rows = {task.name for task in found.tasks}
    assert rows | {"stack"} == {*found.fits, *found.left_out} | {"stack"}
    assert not {*found.fits} & {*found.left_out}
    assert (board_text(found)["val r"] == "left out").sum() == len(found.left_out)
    assert (f"; {len(found.left_out)} left out" in said[-1]) == bool(found.left_out)
    assert not found.failures
    for reason in (each for each in found.left_out.values() if "about" in each):
        needs_s, left_s = map(float, re.findall(r"([\d.e+]+) s", reason))
        assert needs_s >= left_s


def test_unasked_for_only_what_is_long_is_left_out_however_busy_the_machine(on_machine):
    all_s = {"ridge": costs(50, 60, 70), "mlp": costs(500, 500, 500)}
    made, found, _ = on_machine(all_s, None)
    assert {*found.left_out} == {f"mlp/{view}" for view in all_s["mlp"]}
    assert made.begun[-1] == "stack"
    made, found, _ = on_machine({"ridge": costs(50, 60, 70)}, None)
    assert not found.errors
