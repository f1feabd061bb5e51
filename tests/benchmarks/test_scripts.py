"""What the scripts have in common; their figures are for no test."""

import re
from importlib import import_module

import pytest
import typer
from typer.testing import CliRunner

from tests.docs.project import ROOT

SCRIPTS = sorted(
    path.stem for path in (ROOT / "benchmarks").glob("*.py") if "__main__" in path.read_text()
)


def invoke(script, *arguments):
    app = typer.Typer(rich_markup_mode=None)  # plain text, whatever the terminal
    app.command()(import_module(f"benchmarks.{script}").main)
    return CliRunner().invoke(app, arguments)


def test_the_list_has_every_script():
    readme = (ROOT / "benchmarks/README.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"python -m benchmarks\.(\w+)", readme)) == SCRIPTS


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_has_a_fast_form(script):
    shown = invoke(script, "--help")
    assert shown.exit_code == 0
    assert "--fast" in shown.stdout


@pytest.mark.parametrize(
    ("script", "option", "value", "said"),
    [
        ("heads", "--only", "ridge,foo", "unknown: ['foo']"),
        ("extraction", "--encoders", "foo", "unknown: ['foo']"),
        ("extraction", "--precision", "fp8", "'fp8' is not one of"),
        ("encoders", "--encoders", "clip-b-32,", "unknown: ['']"),
    ],
)
def test_a_name_that_is_none_is_a_usage_error(script, option, value, said):
    shown = invoke(script, option, value)
    assert shown.exit_code == 2
    assert said in shown.stderr
