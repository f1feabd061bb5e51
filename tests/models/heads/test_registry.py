import pytest
from pydantic import ValidationError

from models.heads import GIVEN, HEADS, head_settings, make_head


@pytest.mark.parametrize("kind", HEADS)
def test_settings_are_the_constructor_parameters_with_its_defaults(kind):
    head = HEADS[kind]()
    expected = {name: value for name, value in head.get_params().items() if name not in GIVEN}
    assert dict(head_settings(kind)()) == expected


@pytest.mark.parametrize("kind", HEADS)
def test_unknown_settings_are_refused(kind):
    with pytest.raises(ValidationError, match="learnin_rate"):
        make_head(kind, {"learnin_rate": 0.1}, 0)


def test_values_out_of_bounds_are_refused():
    with pytest.raises(ValidationError, match=r"alphas\.0"):
        make_head("ridge", {"alphas": [-1.0]}, 0)
    with pytest.raises(ValidationError, match="dropout"):
        make_head("mlp", {"dropout": 1.0}, 0)


def test_settings_and_seed_reach_the_head():
    head = make_head("lightgbm", {"n_rounds": 3}, seed=7)
    assert head.get_params()["n_rounds"] == 3
    assert head.get_params()["seed"] == 7


def test_lists_as_yaml_gives_them_are_accepted():
    assert make_head("mlp", {"hidden": [32, 16]}, 0).get_params()["hidden"] == (32, 16)


def test_an_unknown_kind_names_the_nearest_and_all():
    with pytest.raises(ValueError, match=r"'lightgmb'.*Did you mean 'lightgbm'.*mean, mlp, nei"):
        make_head("lightgmb", {}, 0)


def test_settings_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        head_settings("ridge")().n_folds = 3
