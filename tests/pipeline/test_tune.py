import json

import pytest

from models.heads import HEADS, make_head, search_space
from models.heads.base import Choice
from pipeline.params import ParamsError, load_params
from pipeline.tune import best_trial, tune
from tests.pipeline.commands import eri


@pytest.fixture
def kernel(project):
    """A project with a head that has something to search, set as badly as can be."""
    project.content["heads"]["kernel"] = {"kind": "kernel_ridge", "width": 0.001}
    project.write()
    return project


def params():
    return load_params()


def test_the_first_trial_is_what_was_there_and_the_best_is_better(kernel):
    seen = []
    trials = tune(params(), "kernel", 8, on_trial=seen.append)
    assert trials == seen
    assert [trial.number for trial in trials] == list(range(8))
    assert trials[0].settings == {"width": 0.001}
    best = best_trial(trials)
    assert best.score > trials[0].score + 0.05
    assert 0.1 <= best.settings["width"] <= 10


def test_a_setting_of_zero_is_tried_first_and_its_range_is_searched(project):
    settings = {"epsilon": 0.0, "width": 0.001}
    project.content["heads"]["vectors"] = {"kind": "svr", **settings}
    project.write()
    trials = tune(params(), "vectors", 4)
    assert trials[0].settings == {"cost": 1.0} | settings
    assert all(trial.score is not None for trial in trials)
    assert all(0.01 <= trial.settings["epsilon"] <= 1 for trial in trials[1:])
    assert tune(params(), "vectors", 5)[:4] == trials


def test_a_search_goes_on_where_it_stopped(kernel):
    first = tune(params(), "kernel", 3)
    seen = []
    every = tune(params(), "kernel", 5, on_trial=seen.append)
    assert every[:3] == first
    assert [trial.number for trial in seen] == [3, 4]
    assert len({str(trial.settings) for trial in every}) == 5
    assert tune(params(), "kernel", 5, on_trial=seen.append) == every
    assert len(seen) == 2


def test_a_view_in_any_order_is_one_search_and_other_data_are_another(kernel):
    trials = tune(params(), "kernel", 2, "voice+face")
    assert tune(params(), "kernel", 2, "face+voice") == tune(params(), "kernel", 2) == trials
    assert len(tune(params(), "kernel", 1, "voice")) == 1
    kernel.write_vectors("voice", seed=9)
    assert len(tune(params(), "kernel", 1)) == 1


def test_a_trial_that_cannot_be_fitted_is_not_the_end(kernel, monkeypatch):
    def fails(*_):
        raise ValueError("no")

    monkeypatch.setattr("pipeline.fit.Fitting.fit", fails)
    trials = tune(params(), "kernel", 3)
    assert [trial.score for trial in trials] == [None, None, None]
    with pytest.raises(ParamsError, match="none of 3 trials"):
        best_trial(trials)
    for said, head, view in (
        ("unknown head 'kernal'", "kernal", None),
        ("nothing to search", "ridge", None),
        ("unknown encoder 'fase'; did you mean 'face'", "kernel", "fase+voice"),
    ):
        with pytest.raises(ParamsError, match=said):
            tune(params(), head, 1, view)


def test_the_command_writes_the_best_values_back(kernel):
    said = json.loads(eri("tune", "kernel", "--trials", "6", "--json").stdout)
    assert len(said["trials"]) == 6
    assert said["written"] == {"width": load_params().heads["kernel"].model_extra["width"]}
    assert "stays as it is" in eri("tune", "kernel", "--trials", "6").output


@pytest.mark.parametrize("kind", HEADS)
def test_both_ends_of_every_range_are_allowed_settings(kind):
    for name, each in search_space(kind).items():
        ends = each.values if isinstance(each, Choice) else (each.low, each.high)
        for end in ends:
            assert make_head({"kind": kind, name: end}, 0).get_params()[name] == end
