import pytest
from pydantic import ValidationError

from models.heads import GIVEN, HEADS, HeadSpec, check_spec, estimated_cost, make_head


@pytest.mark.parametrize("kind", HEADS)
def test_settings_are_the_constructor_parameters_with_its_defaults(kind):
    expected = {
        name: each for name, each in HEADS[kind]().get_params().items() if name not in GIVEN
    }
    spec = check_spec({"kind": kind})
    assert isinstance(spec, HeadSpec)
    assert spec.settings == expected
    assert check_spec(spec.model_dump(mode="json")) == spec


@pytest.mark.parametrize(
    ("entry", "said"),
    [({"kind": kind, "learnin_rate": 0.1}, "learnin_rate") for kind in HEADS]
    + [
        ({"kind": "ridge", "alphas": [-1.0]}, r"alphas\.0"),
        ({"kind": "mlp", "dropout": 1}, "dropout"),
    ],
)
def test_unknown_settings_and_values_out_of_bounds_are_refused(entry, said):
    with pytest.raises(ValidationError, match=said):
        make_head(entry, 0)


def test_settings_seed_and_bands_reach_the_head():
    head = make_head(check_spec({"kind": "lightgbm", "n_rounds": 3}), seed=7, bands=(4,))
    assert (head.get_params()["n_rounds"], head.get_params()["seed"]) == (3, 7)
    assert make_head({"kind": "ridge"}, 0, (4, 5)).get_params()["bands"] == (4, 5)
    assert make_head({"kind": "mlp", "hidden": [32, 16]}, 0).get_params()["hidden"] == (32, 16)


@pytest.mark.parametrize("entry", [{"kind": "lightgmb"}, {}])
def test_an_unknown_kind_names_all(entry):
    with pytest.raises(ValueError, match=r"unknown head kind.*mean, mlp, nei"):
        make_head(entry, 0)


@pytest.mark.parametrize("kind", sorted(HEADS))
def test_more_of_anything_costs_no_less(kind):
    head = make_head({"kind": kind}, 0, (300, 700))
    few = estimated_cost(head, 500, 1000, 3)
    assert 0 < few < 60
    for shape in ((50_000, 1000, 3), (500, 5000, 3), (500, 1000, 9)):
        assert estimated_cost(head, *shape) >= few


def test_cheap_heads_come_first():
    cost = {kind: estimated_cost(make_head({"kind": kind}, 0), 30_000, 2_000, 7) for kind in HEADS}
    assert cost["mean"] < cost["ridge"] < cost["mlp"] < 300
    assert cost["ridge"] < cost["kernel_ridge"] < cost["svr"] < 300
