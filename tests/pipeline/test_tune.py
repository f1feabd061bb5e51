import json

import pytest
from typer.testing import CliRunner

from models.heads import HEADS, make_head, search_space
from models.heads.base import Choice, Range
from pipeline.cli import app
from pipeline.params import ParamsError, load_params
from pipeline.tune import best_trial, tune


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


def test_a_search_goes_on_where_it_stopped(kernel, monkeypatch):
    first = tune(params(), "kernel", 3)
    seen = []
    every = tune(params(), "kernel", 5, on_trial=seen.append)
    assert every[:3] == first
    assert [trial.number for trial in seen] == [3, 4]
    assert len({str(trial.settings) for trial in every}) == 5
    assert tune(params(), "kernel", 5, on_trial=seen.append) == every
    assert len(seen) == 2


def test_other_data_are_another_search(kernel):
    tune(params(), "kernel", 2)
    kernel.write_vectors("voice", seed=9)
    assert len(tune(params(), "kernel", 1)) == 1


def test_views_are_searched_apart(kernel):
    assert len(tune(params(), "kernel", 2, "face")) == 2
    assert len(tune(params(), "kernel", 1, "voice")) == 1


def test_a_view_is_the_same_in_any_order_and_its_encoders_are_known(kernel):
    trials = tune(params(), "kernel", 2, "voice+face")
    assert tune(params(), "kernel", 2, "face+voice") == tune(params(), "kernel", 2) == trials
    with pytest.raises(ParamsError, match="unknown encoder 'fase'; did you mean 'face'"):
        tune(params(), "kernel", 1, "fase+voice")


def test_a_trial_that_cannot_be_fitted_is_not_the_end(kernel, monkeypatch):
    def fails(*_):
        raise ValueError("no")

    monkeypatch.setattr("pipeline.fit.Fitting.fit", fails)
    trials = tune(params(), "kernel", 3)
    assert [trial.score for trial in trials] == [None, None, None]
    with pytest.raises(ParamsError, match="none of 3 trials"):
        best_trial(trials)


def test_unknown_heads_and_heads_without_a_search_are_refused(kernel):
    with pytest.raises(ParamsError, match="unknown head 'kernal'"):
        tune(params(), "kernal", 1)
    with pytest.raises(ParamsError, match="nothing to search"):
        tune(params(), "ridge", 1)


def test_the_command_writes_the_best_values_back(kernel):
    result = CliRunner().invoke(app, ["tune", "kernel", "--trials", "6", "--json"])
    assert result.exit_code == 0, result.output
    said = json.loads(result.output)
    assert len(said["trials"]) == 6
    assert said["written"] == {"width": load_params().heads["kernel"].model_extra["width"]}
    again = CliRunner().invoke(app, ["tune", "kernel", "--trials", "6"])
    assert again.exit_code == 0, again.output
    assert "stays as it is" in again.output


@pytest.mark.parametrize("kind", HEADS)
def test_both_ends_of_every_range_are_allowed_settings(kind):
    for name, each in search_space(kind).items():
        ends = each.values if isinstance(each, Choice) else (each.low, each.high)
        for end in ends:
            assert make_head({"kind": kind, name: end}, 0).get_params()[name] == end


def test_the_large_heads_have_something_to_search():
    for kind in ("lightgbm", "mlp", "kernel_ridge", "svr"):
        assert search_space(kind)
    assert search_space("ridge") == {}
    assert search_space("kernel_ridge") == {"width": Range(0.1, 10.0, log=True)}
