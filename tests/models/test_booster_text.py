import re

import lightgbm
import numpy as np
import pytest

from models.booster_text import booster_from_text


@pytest.fixture(scope="module")
def booster():
    x = np.random.default_rng(0).normal(size=(200, 3))
    parameters = {"verbosity": -1, "num_leaves": 4, "num_threads": 1}
    return lightgbm.train(parameters, lightgbm.Dataset(x, x[:, 0] + x[:, 1] ** 2), 3)


def test_a_booster_comes_back(booster):
    x = np.random.default_rng(1).normal(size=(50, 3))
    again = booster_from_text(booster.model_to_string())
    assert again.predict(x).tobytes() == booster.predict(x).tobytes()


def test_what_is_checked_is_what_is_read(booster):
    text = booster.model_to_string()
    wrong, n = re.subn(r"(?m)^tree_sizes=.*$", "tree_sizes=9 99999999 9", text)
    assert n == 1
    x = np.random.default_rng(1).normal(size=(50, 3))
    assert booster_from_text(wrong).predict(x).tobytes() == booster.predict(x).tobytes()


def test_a_booster_of_constants_comes_back():
    x, y = np.zeros((50, 2)), np.ones(50)
    booster = lightgbm.train({"verbosity": -1}, lightgbm.Dataset(x, y), 2)
    assert booster_from_text(booster.model_to_string()).predict(x).tolist() == [1] * 50


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("left_child", "99 1 2"),
        ("left_child", "0 1 2"),
        ("right_child", "-9 -9 -9"),
        ("right_child", "-1"),
        ("split_feature", "3 0 0"),
        ("split_feature", "-1 0 0"),
        ("num_leaves", "1000000000"),
        ("num_leaves", "-1"),
        ("num_leaves", "many"),
        ("num_cat", "1"),
        ("decision_type", "1 2 2"),
        ("leaf_value", "1"),
        ("is_linear", "1"),
        ("max_feature_idx", "-1"),
        ("max_feature_idx", "1_0"),
        ("max_feature_idx", "9999999999"),
        ("num_leaves", "0_4"),
        ("left_child", "1 +2 -1"),
        ("split_feature", "0_0 0 0"),
        ("split_feature", "0  0 0"),
        ("decision_type", "2 2 2.0"),
        ("num_class", "7"),
    ],
)
def test_what_would_read_beyond_a_tree_is_refused(booster, key, value):
    text, n = re.subn(rf"(?m)^{key}=.*$", f"{key}={value}", booster.model_to_string(), count=1)
    assert n == 1
    with pytest.raises(ValueError, match="tree|booster"):
        booster_from_text(text)


def test_what_the_library_would_read_otherwise_is_refused():
    x = np.arange(600.0)[:, None]
    parameters = {"verbosity": -1, "num_leaves": 31, "num_threads": 1}
    text = lightgbm.train(parameters, lightgbm.Dataset(x, x[:, 0]), 1).model_to_string()
    children = re.search(r"(?m)^left_child=(.*)$", text)[1].split(" ")
    number = next(n for n, child in enumerate(children) if int(child) >= 10)
    for wrong in ("1_0", children[number] + "\N{NO-BREAK SPACE}", "\N{ARABIC-INDIC DIGIT ONE}0"):
        changed = " ".join([*children[:number], wrong, *children[number + 1 :]])
        with pytest.raises(ValueError, match="tree|booster"):
            booster_from_text(re.sub(r"(?m)^left_child=.*$", f"left_child={changed}", text))


@pytest.mark.parametrize("end", ["\r", "\0"])
def test_ends_of_lines_that_only_the_library_knows_are_refused(booster, end):
    text = booster.model_to_string()
    tree = text[text.index("\nTree=0") : text.index("\nTree=1")]
    hidden = tree.replace("split_feature=", "split_feature=9").replace("\n", end)
    with pytest.raises(ValueError, match="booster"):
        booster_from_text(text.replace("\nTree=0", hidden + "\nTree=0", 1))


def test_a_key_said_twice_is_refused(booster):
    text = booster.model_to_string().replace("num_cat=0", "num_cat=0\nnum_cat=1", 1)
    with pytest.raises(ValueError, match="twice"):
        booster_from_text(text)


@pytest.mark.parametrize("text", ["", "tree\n", "x" * 1000, "\nTree=0\n\nend of trees\n"])
def test_other_text_is_refused(text):
    with pytest.raises(ValueError, match="no booster of one target"):
        booster_from_text(text)
