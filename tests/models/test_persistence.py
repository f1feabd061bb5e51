"""Every kind of head goes through the one contract: bytes of predictions before and after."""

import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from models.folds import assign_folds
from models.heads import HEADS, make_head
from models.persistence import Dumped, PersistenceError, dump, load
from models.stack import fit_stack
from models.trees import tree_parts
from models.view import FoldedView

SMALL = {
    "lightgbm": {"n_rounds": 10, "n_components": 20},
    "mlp": {"max_epochs": 3, "n_seeds": 2, "n_components": 20},
    "pls": {"n_factors": (1, 3)},
    "random_trees": {"n_trees": 5, "n_components": 20},
}
VARIANTS = {
    **{kind: (kind, SMALL.get(kind, {})) for kind in HEADS},
    "landmarks": ("kernel_ridge", {"memory_limit_mib": 1, "n_landmarks": 8}),
    "columns": ("lightgbm", {"n_rounds": 5, "n_components": None}),
}


def data_of(gaps=False, n_rows=60, n_columns=40):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n_rows, n_columns)).astype(np.float32)
    y = 0.5 + 0.2 * x[:, :3] + 0.2 * rng.normal(size=(n_rows, 3))
    if gaps:
        x[::7, : n_columns // 2] = np.nan
        y[::5, 1], y[3:9] = np.nan, np.nan
    return x, y, rng.integers(12, size=n_rows)


def through_files(dumped):
    """As a file would have it: JSON text, and the bytes of safetensors."""
    tree = json.loads(json.dumps(dumped.tree, allow_nan=False))
    return Dumped(tree, load_arrays(save_arrays(dumped.arrays)), dumped.texts)


@pytest.mark.parametrize("gaps", [False, True], ids=["complete", "gaps"])
@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_predictions_stay_the_same_bytes(variant, gaps, monkeypatch):
    if variant == "landmarks":  # as if the kernel were too large
        monkeypatch.setattr("models.heads.kernel.fit_features", few_landmarks)
    x, y, groups = data_of(gaps)
    kind, settings_ = VARIANTS[variant]
    head = make_head(kind, settings_, 1, bands=(30, 10)).fit(x, y, groups)
    dumped = dump(head)
    again = load(through_files(dumped))
    new = np.random.default_rng(1).normal(size=(33, x.shape[1])).astype(np.float32)
    new[::4, 5:] = np.nan
    assert again.predict(new).tobytes() == head.predict(new).tobytes()
    assert type(again) is type(head)
    assert again.get_params() == head.get_params()
    assert json.dumps(dump(again).tree) == json.dumps(dumped.tree)
    assert not np.array_equal(head.predict(x), np.zeros(y.shape))


def few_landmarks(inputs, width, memory_limit_mib, n_landmarks, seed):
    from models.kernel import fit_features

    return fit_features(inputs, width, 0, n_landmarks, seed)


@pytest.mark.parametrize("kind", sorted(HEADS))
def test_the_head_that_predicted_held_out_rows_is_the_one_that_is_kept(kind):
    x, y, groups = data_of(gaps=True)
    n = 50
    folds = assign_folds(groups[:n], 4, 0)
    view = FoldedView(x[:n], y[:n], groups[:n], folds, x[n:])
    fitted = make_head(kind, SMALL.get(kind, {}), 3).cross_fit(view)
    assert load(dump(fitted.head)).predict(x[n:]).tobytes() == fitted.held.tobytes()


def test_a_stack_too():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(80, 3))
    members = y[:, None] + rng.normal(size=(80, 4, 3))
    stack = fit_stack(members, y, np.arange(80) % 4)
    again = load(through_files(dump(stack)))
    assert again.predict(members).tobytes() == stack.predict(members).tobytes()
    assert (again.method, again.share) == (stack.method, stack.share)


class Stranger:
    pass


@pytest.mark.parametrize("value", [Stranger(), {1: 2}, np.array(["a"], object), print, {"a"}])
def test_what_is_not_on_the_list_is_refused_by_name(value):
    head = make_head("mean", {}, 0).fit(*data_of()[:2])
    head.odd_ = [value]
    with pytest.raises(PersistenceError, match=r"MeanHead\.odd_\.0 is an? .*expected"):
        dump(head)


def test_a_class_of_the_same_name_is_not_the_class():
    stranger = type("RidgeHead", (), {})()
    with pytest.raises(PersistenceError, match="cannot be written as plain data"):
        dump(stranger)


@pytest.mark.parametrize(
    "tree",
    [
        {"type": "estimator", "class": "Popen", "settings": {}, "learned": {}},
        {"type": "estimator", "class": "Stack", "settings": {}, "learned": {}},
        {"type": "estimator", "class": "RidgeHead", "settings": {"command": 1}, "learned": {}},
        {"type": "estimator", "class": "RidgeHead", "settings": {}, "learned": {"predict": 1}},
        {"type": "dataclass", "class": "RidgeHead", "items": {}},
        {"type": "dataclass", "class": "Projection", "items": {"axes": 1}},
        {"type": "array", "array": "nowhere", "by_column": False},
        {"type": "booster", "text": "text"},
        {"type": "pickle"},
        {"type": []},
        {},
        [],
    ],
)
def test_a_wrong_tree_is_refused(tree):
    with pytest.raises(PersistenceError):
        load(Dumped(tree, {}, {"text": "no tree"}))


def test_what_nothing_uses_is_refused():
    with pytest.raises(PersistenceError, match="nothing uses"):
        load(Dumped(1, {"a": np.zeros(1)}))


def leaves(tree):
    """Every place in a tree, as (container, key)."""
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in inside:
        yield tree, key
        if isinstance(value, dict | list):
            yield from leaves(value)


@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_damaged_tree_is_refused_or_harmless(data):
    x, y, groups = data_of()
    dumped = dump(make_head("elastic_net", {"n_components": 5}, 0).fit(x, y, groups))
    tree = json.loads(json.dumps(dumped.tree))
    container, key = data.draw(st.sampled_from(list(leaves({"tree": tree}))))
    container[key] = data.draw(st.sampled_from([None, 7, "x", [], {}, "RidgeHead", {"type": "x"}]))
    with suppress(PersistenceError):
        load(Dumped(tree, dumped.arrays, dumped.texts))


def forest():
    x, y, groups = data_of()
    return make_head("random_trees", SMALL["random_trees"], 0).fit(x, y, groups)


@pytest.mark.parametrize(
    ("field", "value"),
    [("left_child", 0), ("left_child", 10**6), ("right_child", -1), ("feature", 10**6)],
)
def test_a_tree_that_leads_nowhere_is_refused(field, value):
    dumped = dump(forest())
    name = next(name for name in dumped.arrays if name.endswith(f"nodes.{field}"))
    dumped.arrays[name] = dumped.arrays[name].copy()
    dumped.arrays[name][0] = value
    with pytest.raises(PersistenceError, match="tree"):
        load(dumped)


@pytest.mark.parametrize("depth", [0, 1], ids=["forest", "tree"])
def test_trees_of_other_columns_than_their_estimator_are_refused(depth):
    dumped = dump(forest())
    *_, regressor = dumped.tree["learned"]["regressors_"]["items"][0]["items"]
    tree = regressor["learned"]["estimators_"]["items"][0]["learned"]
    wrong = (regressor["learned"], tree)[depth]
    wrong["n_features_in_"] -= 1
    with pytest.raises(PersistenceError, match=r"trees of \[\d+(, \d+)?\] columns"):
        load(dumped)


def test_trees_have_all_that_scikit_learn_keeps():
    (_, _, regressor) = forest().regressors_[0]
    tree = regressor.estimators_[0].tree_
    parts = tree_parts(tree)
    assert {"n_features", "max_depth", "values", "nodes"} == set(parts)
    assert len(parts["values"]) == tree.node_count
