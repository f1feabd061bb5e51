import json

from typer.testing import CliRunner

from pipeline.cli import app


def run(*arguments: str):
    return CliRunner().invoke(app, ["encoders", *arguments])


def test_encoders_are_listed_and_described():
    shown = run()
    assert shown.exit_code == 0
    assert "videomae-base        CC-BY-NC-4.0     VideoMAE" in shown.stdout
    described = run("wav2vec2-affect", "egemaps")
    assert "cite: Wagner et al. 2023" in described.stdout
    assert "logits: true" in described.stdout
    content = json.loads(run("egemaps", "--json").stdout)
    assert content["egemaps"]["entry"] == {"kind": "opensmile", "model": "eGeMAPSv02"}


def test_a_preset_is_tried_on_a_test_clip():
    found = json.loads(run("--check", "egemaps", "--json").stdout)
    assert (found["rows"], found["numbers"]) == (1, 88)


def test_an_unknown_name_is_refused():
    shown = run("--check", "egemap")
    assert "did you mean 'egemaps'" in str(shown.exception)
