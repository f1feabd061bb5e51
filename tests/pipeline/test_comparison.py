"""In which order heads are fitted, and what a budget leaves room for, on a simulated clock."""

import math
import re
from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.extraction.workers import Failure, WorkerError
from pipeline.compare import board_text
from pipeline.comparison import plan_comparison, run_comparison
from pipeline.fit import Fit

BASELINES = ["baseline/mean", "baseline/duration"]


class Machine:
    """In place of worker processes: a fit takes a stated time, of a clock that waits for nobody."""

    def __init__(self, costs_s):
        self.costs_s, self.now_s, self.begun = costs_s, 0.0, []

    def monotonic(self):
        return self.now_s

    def __call__(self, n_workers):
        return nullcontext(self)

    def call(self, work, task, *, limit_s):
        name = task[1].name
        self.begun.append(name)
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
        by_name = {f"{h}/{v}": s for h, each in costs_s.items() for v, s in each.items()}
        made, said = Machine(by_name), []
        monkeypatch.setattr("pipeline.spread.Workers", made)
        monkeypatch.setattr("pipeline.comparison.time", made)
        monkeypatch.setattr("models.heads.estimated_cost", cost_s)
        plan = plan_comparison(heads=list(costs_s))
        return made, run_comparison(plan, budget_s=budget_s, tell=said.append), said

    return compare_there


def costs(*seconds):
    return dict(zip(("voice", "face", "face+voice"), seconds, strict=True))


def test_cheap_heads_come_first_and_tell_how_long_the_rest_will_take(on_machine):
    all_s = {"mlp": costs(40, 60, 90), "ridge": costs(0.1, 0.2, 0.3), "svr": costs(1, 2, 3)}
    made, found, said = on_machine(all_s)
    order = [f"{head}/{view}" for head in ("ridge", "svr", "mlp") for view in all_s["mlp"]]
    assert made.begun == [*BASELINES, *order]
    assert [line.partition(":")[0] for line in said] == [*made.begun, "stack"]
    assert not found.failures
    to_go = [float(each.split("; about ")[1].split()[0]) for each in said if "to go" in each]
    assert 20 < to_go[-1] < 150  # for the last one, of 90 s, by what it took on other views
    assert "to go" not in said[-1]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seconds=st.lists(st.floats(0.1, 100), min_size=9, max_size=9),
    budget_s=st.floats(1, 1000),
)
def test_a_budget_is_kept_and_what_has_no_room_is_named(on_machine, seconds, budget_s):
    all_s = {h: costs(*seconds[k : k + 3]) for k, h in enumerate(("ridge", "lightgbm", "mlp"))}
    made, found, _ = on_machine(all_s, budget_s)
    assert made.now_s <= budget_s + 1e-6
    rows = {task.name for task in found.tasks}
    assert rows | {"stack"} == {*found.fits, *found.failures} | {"stack"}
    assert not {*found.fits} & {*found.failures}
    assert (board_text(found)["val r"] == "left out").sum() == len(found.failures)
    for each in found.failures.values():
        assert each.reason.startswith("left out: ")
        if "about" in each.reason:
            needs_s, left_s = map(float, re.findall(r"([\d.e+]+) s", each.reason))
            assert needs_s >= left_s
