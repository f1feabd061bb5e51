import pytest

from pipeline.params import ParamsError, load_params
from pipeline.settings_files import update_settings


@pytest.fixture
def path(request, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes((request.config.rootpath / "params.yaml").read_bytes())
    return path


def test_values_are_set_and_nothing_else_changes(path):
    before = path.read_text(encoding="utf-8").splitlines()
    update_settings(
        path, {"heads": {"lightgbm": {"learning_rate": 0.03, "num_leaves": 12}}}, load_params
    )
    after = path.read_text(encoding="utf-8").splitlines()
    added = [line for line in after if line not in before]
    assert added == ["    learning_rate: 0.03", "    num_leaves: 12"]
    assert [line for line in after if line not in added] == before
    assert load_params(path).heads["lightgbm"].model_extra["num_leaves"] == 12


def test_a_value_that_is_there_is_replaced(path):
    for rate in (0.03, 0.04):
        update_settings(path, {"heads": {"lightgbm": {"learning_rate": rate}}}, load_params)
    assert path.read_text(encoding="utf-8").count("learning_rate") == 1
    assert load_params(path).heads["lightgbm"].model_extra["learning_rate"] == 0.04


def test_a_file_that_would_be_refused_is_left_as_it_was(path):
    before = path.read_bytes()
    with pytest.raises(ParamsError, match="learning_rate") as error:
        update_settings(path, {"heads": {"lightgbm": {"learning_rate": -1.0}}}, load_params)
    assert str(error.value).startswith(f"{path}: 1 fault")
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["params.yaml"]


def test_sections_and_lists_keep_their_style_and_comments(path):
    before = path.read_text(encoding="utf-8").splitlines()
    data = {"labels": "data/imports/x/labels.csv", "media": "media"}
    assert update_settings(path, {"data": data, "targets": ["joy", "awe"]}, load_params)
    after = path.read_text(encoding="utf-8").splitlines()
    assert len(after) == len(before)
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert changed[0] == "targets: [joy, awe]"
    assert [line.split("#")[0].strip() for line in changed[1:]] == [
        "labels: data/imports/x/labels.csv",
        "media: media",
    ]
    assert all("#" in line for line in changed[1:])


def test_what_is_there_already_is_not_written(path):
    path.write_text(path.read_text(encoding="utf-8") + "\n\n# the end", encoding="utf-8")
    before = path.read_bytes()
    assert not update_settings(path, {"data": {"media": "data/demo"}}, load_params)
    assert path.read_bytes() == before


def test_an_empty_section_takes_an_entry_and_keeps_its_comment(path):
    before = path.read_text(encoding="utf-8")
    empty = next(line for line in before.splitlines() if line.startswith("stores: {}"))
    update_settings(path, {"stores": {"fau": {"store": "data/fau", "sha256": "ab"}}}, load_params)
    entry = "\n  fau:\n    store: data/fau\n    sha256: ab"
    opened = empty.replace("stores: {}", "stores:") + entry
    assert path.read_text(encoding="utf-8") == before.replace(empty, opened)


@pytest.mark.parametrize("section", ["encoders", "heads"])
def test_a_new_entry_comes_last_in_its_section_and_moves_nothing(path, section):
    before = path.read_text(encoding="utf-8").splitlines()
    entry = {
        "encoders": {"kind": "timm", "model": "test_resnet", "weights": "random"},
        "heads": {"kind": "mean"},
    }[section]
    update_settings(path, {section: {"fau": entry}}, load_params)
    after = path.read_text(encoding="utf-8").splitlines()
    lines = ["  fau:", *(f"    {key}: {value}" for key, value in entry.items())]
    first = after.index("  fau:")
    assert after[first : first + len(lines)] == lines
    assert after[:first] + after[first + len(lines) :] == before
    assert after[first + len(lines)] == ""
    assert list(getattr(load_params(path), section))[-1] == "fau"
    update_settings(path, {section: {"fau": entry}}, load_params)
    assert path.read_text(encoding="utf-8").splitlines() == after
