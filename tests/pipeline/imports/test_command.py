from pathlib import Path

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from pipeline import cli
from pipeline.params import ParamsError

LACKS = "evaluation.{} that the table lacks"


@pytest.fixture
def labels(tmp_path):
    table = {"clip_id": ["a", "b"], "split": ["train", "val"], "joy": [0.5, 0.7], "age": [20, 30]}
    pd.DataFrame(table).to_csv(tmp_path / "ratings.csv", index=False)
    return tmp_path / "ratings.csv"


def import_table(run, labels, *more):
    return run("table", labels, "--targets", "joy", "--dry-run", *more)["by_kind"]


def test_the_parameters_as_they_come_give_no_warning(labels, run):
    found = import_table(run, labels)
    assert LACKS.format("slices") not in found
    assert LACKS.format("baselines") not in found


@pytest.mark.parametrize("key", ["slices", "baselines"])
def test_columns_that_the_index_would_miss_are_warned_of(labels, run, key):
    params = Path("params.yaml")
    content = yaml.safe_load(params.read_text())
    content["evaluation"][key] = ["age", "group", "duration_s", "country"]
    params.write_text(yaml.safe_dump(content))
    found = import_table(run, labels)[LACKS.format(key)]
    assert (found["severity"], found["examples"]) == ("warning", ["country"])


@pytest.mark.parametrize("name", ["../../out", "a/b", "", ".hidden"])
def test_a_name_that_leaves_its_folder_is_refused(labels, run, name):
    done = CliRunner().invoke(cli.app, ["import", "table", str(labels), "--name", name])
    assert isinstance(done.exception, ParamsError)
    assert str(done.exception) == f"--name {name!r}: expected letters, digits, _ and -"
    assert [path.name for path in Path().iterdir()] == ["params.yaml"]
