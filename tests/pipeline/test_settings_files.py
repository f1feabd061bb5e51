import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from pipeline.params import ParamsError, load_params
from pipeline.settings_files import update_settings


@pytest.fixture
def path(request, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes((request.config.rootpath / "params.yaml").read_bytes())
    return path


def test_values_are_set_once_and_nothing_else_changes(path):
    before = path.read_text(encoding="utf-8").splitlines()
    for rate in (0.3, 1e-5):
        changes = {"heads": {"lightgbm": {"learning_rate": rate, "num_leaves": 12}}}
        assert update_settings(path, changes, load_params)
    after = path.read_text(encoding="utf-8").splitlines()
    added = [line for line in after if line not in before]
    assert added == ["    learning_rate: 1e-05", "    num_leaves: 12"]
    assert [line for line in after if line not in added] == before
    assert load_params(path).heads["lightgbm"].model_extra["num_leaves"] == 12
    assert not update_settings(path, changes, load_params)


def test_a_file_that_would_be_refused_is_left_as_it_was(path):
    before = path.read_bytes()
    with pytest.raises(ParamsError, match="learning_rate") as error:
        update_settings(path, {"heads": {"lightgbm": {"learning_rate": -1.0}}}, load_params)
    assert str(error.value).startswith(f"{path}: 1 fault")
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["params.yaml"]


@pytest.mark.parametrize(
    ("before", "changes", "after"),
    [
        ("a: 1 # one\n\n# two\nb: 2\n", {"a": [1, "x"]}, "a: [1, x] # one\n\n# two\nb: 2\n"),
        ("a:\n- x # one\n- y\n# two\nb: 2", {"a": ["z"]}, "a: [z]\n# two\nb: 2"),
        ("a: # one\n\n# two\nb: 2", {"a": {"c": 1}}, "a: {c: 1} # one\n\n# two\nb: 2"),
        ("a:\n   c: 1 # x\n\n# y\nb: 2", {"a": {"d": 1}}, "a:\n   c: 1 # x\n   d: 1\n\n# y\nb: 2"),
        ("a:\n  kind: x\n  q: 1", {"a": {"kind": "y"}}, "a: {kind: y}"),
        ("a: {c: {d: 1}} # one", {"a": {"c": {"e": 2}}}, "a: {c: {d: 1, e: 2}} # one"),
    ],
)
def test_comments_and_the_rest_stay(tmp_path, before, changes, after):
    path = tmp_path / "x.yaml"
    path.write_text(before)
    assert update_settings(path, changes, lambda _: None)
    assert path.read_text() == after


names = st.sampled_from(["a", "b", "kind", "no", "1x"])
words = st.sampled_from(["no", "NO", "on", "y", "0o17", "017", "1:30", "1e3", "null", "~", "=", ""])
plain = words | st.text("ab01#'\" ,.+-?:&*!|>%@`{}[]<~\n\t") | st.integers() | st.none()
values = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=3),
)


def merged(old, new):
    """What an entry is after a change; one of another kind takes its place."""
    if not old or not isinstance(old, dict) or not isinstance(new, dict):
        return new
    if "kind" in old and old["kind"] is not None and new.get("kind", old["kind"]) != old["kind"]:
        return new
    return {**old, **{key: merged(old.get(key), value) for key, value in new.items()}}


@settings(max_examples=50)
@given(st.lists(st.dictionaries(names, values, min_size=1, max_size=3), max_size=3))
def test_whatever_is_written_is_read_again(tmp_path_factory, changes):
    path, expected = tmp_path_factory.getbasetemp() / "settings.yaml", {"first": 1}
    path.write_text("first: 1 # one\n# two")
    for each in changes:
        update_settings(path, each, lambda _: None)
        expected |= {name: merged(expected.get(name), value) for name, value in each.items()}
    assert YAML(typ="safe").load(path) == expected
