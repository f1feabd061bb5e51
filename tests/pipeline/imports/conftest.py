"""A project to import into, and how to run `eri import` there."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from pipeline import cli


@pytest.fixture
def run(request, tmp_path, monkeypatch):
    """Run `eri import ... --json` in an empty project; returns the JSON."""
    project = tmp_path / "project"
    project.mkdir()
    shutil.copy(request.config.rootpath / "params.yaml", project)
    monkeypatch.chdir(project)

    def run_import(*arguments, status=0):
        shown = CliRunner().invoke(cli.app, ["import", *map(str, arguments), "--json"])
        assert shown.exit_code == status, (shown.output, shown.exception)
        content = json.loads(shown.stdout)
        content["by_kind"] = {finding["kind"]: finding for finding in content["findings"]}
        return content

    return run_import


@pytest.fixture
def touch(tmp_path):
    """Make empty files."""

    def make(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    return make
