import json

import pytest
import typer
from typer.testing import CliRunner

from pipeline.imports.features_command import features_command

APP = typer.Typer()
APP.command()(features_command)


@pytest.fixture
def table(folder):
    path = folder / "t.csv"
    path.write_text("clip_id,a,b\n00001,1,\n00002,2,5\n99999,1,5\n")
    return str(path)


def test_what_was_found_is_said(table):
    done = CliRunner().invoke(APP, [table, "--name", "t", "--dry-run"])
    assert done.exit_code == 0
    for text in (
        "t: 3 clips in 1 files, one row per clip",
        "2 features (a, b)",
        "1 values are missing",
        "38 clips of the label table without features: [00000], [00003]",
        "1 features of no clip in the label table: 99999",
        "1 columns that never vary: b",
        "nothing was written",
    ):
        assert text in done.output
    assert (
        "written: data/imports/features/t" in CliRunner().invoke(APP, [table, "--name", "t"]).output
    )


def test_as_json(table):
    done = CliRunner().invoke(APP, [table, "--name", "t", "--json"])
    content = json.loads(done.output)
    assert content["written"]
    assert content["missing"]["n"] == 38
    assert content["unknown"] == {"n": 1, "examples": ["99999"]}
