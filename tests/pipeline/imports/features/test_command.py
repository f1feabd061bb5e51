import json

import pytest
import typer
from typer.testing import CliRunner

from pipeline.imports.features.command import features_command

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
        "t: 3 clips in 1 files, one row per clip, 2 features (a, b)",
        "clips with missing values: 1 (00001): 1 values",
        "clips of the label table without features: 38 ([00000], [00003], [00004], ...)",
        "features of no clip in the label table: 1 (99999)",
        "columns that never vary: 1 (b)",
        "nothing is written",
    ):
        assert text in done.output
    assert (
        "written: data/imports/features/t" in CliRunner().invoke(APP, [table, "--name", "t"]).output
    )


def test_as_json(table):
    done = CliRunner().invoke(APP, [table, "--name", "t", "--json"])
    content = json.loads(done.stdout)
    assert content["written"]
    kinds = {finding["kind"]: finding for finding in content["findings"]}
    assert kinds["clips of the label table without features"]["count"] == 38
    assert kinds["features of no clip in the label table"]["examples"] == ["99999"]


@pytest.mark.parametrize("name", ["gone.csv", "labels.csv", "x.pkl"])
def test_what_is_refused_is_a_finding_and_status_one(folder, name):
    (folder / "x.pkl").touch()
    done = CliRunner().invoke(APP, [str(folder / name), "--name", "t", "--json"])
    assert done.exit_code == 1
    content = json.loads(done.stdout)
    assert content["findings"][0]["severity"] == "error"
    assert not content["written"]
    shown = CliRunner().invoke(APP, [str(folder / name), "--name", "t", "--dry-run"])
    assert shown.exit_code == 1
    assert f"error    {content['findings'][0]['kind']}: 1 ({name})" in shown.stdout
