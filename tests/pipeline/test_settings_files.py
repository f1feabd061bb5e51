import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from pipeline.params import ParamsError, load_params
from pipeline.settings_files import update_settings, yaml_text


@pytest.fixture
def path(request, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes((request.config.rootpath / "params.yaml").read_bytes())
    return path


@pytest.mark.parametrize("rate", [0.03, 1e-5])
def test_values_are_set_and_nothing_else_changes(path, rate):
    before = path.read_text(encoding="utf-8").splitlines()
    for each in (0.3, rate):
        settings = {"learning_rate": each, "num_leaves": 12}
        assert update_settings(path, {"heads": {"lightgbm": settings}}, load_params)
    after = path.read_text(encoding="utf-8").splitlines()
    added = [line for line in after if line not in before]
    assert added == [f"    learning_rate: {rate}", "    num_leaves: 12"]
    assert [line for line in after if line not in added] == before
    assert load_params(path).heads["lightgbm"].model_extra["num_leaves"] == 12


def test_a_file_that_would_be_refused_is_left_as_it_was(path):
    before = path.read_bytes()
    with pytest.raises(ParamsError, match="learning_rate") as error:
        update_settings(path, {"heads": {"lightgbm": {"learning_rate": -1.0}}}, load_params)
    assert str(error.value).startswith(f"{path}: 1 fault")
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["params.yaml"]


def test_what_is_there_already_is_not_written(path):
    path.write_text(path.read_text(encoding="utf-8") + "\n\n# the end", encoding="utf-8")
    before = path.read_bytes()
    assert not update_settings(path, {"data": {"media": "data/demo"}, "stores": {}}, load_params)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("before", "changes", "after"),
    [
        ("a: 1 # one\n\n# two\nb: 2\n", {"a": [1, "x"]}, "a: [1, x] # one\n\n# two\nb: 2\n"),
        ("a:\n- x # one\n- y\n# two\nb: 2", {"a": ["z"]}, "a: [z]\n# two\nb: 2"),
        ("a: {} # one\nb: 2", {"a": {"c": {"d": 1}}}, "a: # one\n  c:\n    d: 1\nb: 2"),
        ("a: # one\n\n# two\nb: 2", {"a": {"c": 1}}, "a: # one\n  c: 1\n\n# two\nb: 2"),
        ("a:\n   c: 1 # x\n\n# y\nb: 2", {"a": {"d": 1}}, "a:\n   c: 1 # x\n   d: 1\n\n# y\nb: 2"),
        ("a: {c: {d: 1}} # one", {"a": {"c": {"e": 2}}}, "a: # one\n  c:\n    d: 1\n    e: 2"),
        ("a: 1", {"b": {}, "c": None}, "a: 1\nb: {}\nc:"),
        ("a: null", {"a": {}}, "a: {}"),
    ],
)  # fmt: skip
def test_comments_and_the_rest_stay(tmp_path, before, changes, after):
    path = tmp_path / "x.yaml"
    path.write_text(before)
    assert update_settings(path, changes, lambda _: None)
    assert path.read_text() == after


words = st.sampled_from(["no", "NO", "on", "y", "0o17", "017", "1:30", "1e3", "null", "~", "=", ""])


@given(
    st.recursive(
        words | st.text("ab01#'\" ,.+-?:&*!|>%@`{}[]<~\n\t"),
        lambda inner: st.lists(inner, max_size=2),
    )
)
def test_text_stays_text(content):
    assert YAML(typ="safe").load(yaml_text({"key": content})) == {"key": content}
