import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from models.heads import HEADS
from pipeline import cli
from tests.pipeline.compare.odd_heads import RaisingHead

ONE_VIEW = ["--encoders", "face", "--heads"]


def run(*arguments: str, status: int = 0):
    shown = CliRunner().invoke(cli.app, ["compare", *arguments])
    assert shown.exit_code == status, shown.output
    return shown


def test_rows_come_as_lines_then_the_tables(project, fitted):
    project.clips["country"] = [*"AAAABBBB"] * 5
    project.write()
    lines = run("--encoders", "face", "--by", "country", "--learning-curve").stdout.splitlines()
    assert lines[0].startswith("baseline/mean: mean Pearson +0.000, ")
    assert lines[4].startswith("stack: mean Pearson +0.")
    title = next(line for line in lines if line.startswith("Mean Pearson over 3 targets"))
    assert "on Val: 8 clips of 5 people; intervals and P from 100 resamples of people" in title
    text = "\n".join(lines)
    for column in ("head/view", "95 % CI", "P > best", "fit s", "joy", "constant", "A: "):
        assert column in text
    assert "Mean Pearson by country" in text
    assert "Learning curve of ridge/face on Val" in text
    again = run("--encoders", "face").stdout.splitlines()
    assert again[0] == "5 of 5 rows are done, 5 of them from before"


def test_json_is_all_there_is_on_stdout(project, fitted):
    content = json.loads(run("--json", "--split", "oof").stdout)
    assert content["split"] == "oof"
    best = content["rows"][0]
    assert set(best["pearson"]) == {"joy", "fear", "awe"}
    assert best["ci95"][0] < best["mean_pearson"] < best["ci95"][1]
    assert best["better_than_best"] is None
    assert 0 <= content["rows"][1]["better_than_best"] <= 1
    assert isinstance(best["pooled_mean_pearson"], float)
    assert (best["error"], content["n_reused"], len(content["rows"])) == ("", 0, 9)


def test_files_are_written_and_the_same_again(project, fitted):
    run("--out", "there")
    folder = project.folder / "there"
    names = {"leaderboard.parquet", "leaderboard.csv", "leaderboard.md"}
    assert {path.name for path in folder.iterdir()} == names
    before = {name: (folder / name).read_bytes() for name in names}
    run("--out", "there")
    assert {name: (folder / name).read_bytes() for name in names} == before
    table = pd.read_parquet(folder / "leaderboard.parquet")
    assert table["split"].unique().tolist() == ["val"]
    csv = pd.read_csv(folder / "leaderboard.csv", keep_default_na=False, na_values=[""])
    assert csv["mean_pearson"].tolist() == table["mean_pearson"].tolist()
    text = (folder / "leaderboard.md").read_text()
    assert "| head/view | mean r | 95 % CI |" in text
    assert text.count("\n| ") == len(table) + 2


def test_a_failure_is_a_row_a_line_and_a_traceback(project, monkeypatch):
    monkeypatch.setitem(HEADS, "raising", RaisingHead)
    shown = run(*ONE_VIEW, "raising,ridge").stdout
    assert "raising/face failed: RuntimeError: no good" in shown
    folder = project.folder / "results" / "compare"
    assert "in go_wrong" in (folder / "errors.txt").read_text()
    assert "| raising/face | failed |" in (folder / "leaderboard.md").read_text()
    run(*ONE_VIEW, "ridge")
    assert not (folder / "errors.txt").exists()
    run(*ONE_VIEW, "raising", status=1)


def test_help_shows_examples():
    assert run("--help").stdout.count("Example: eri compare") == 3


def test_random_encoders_are_named(project, fitted):
    project.content["encoders"]["face"] = {
        "kind": "torchvision",
        "model": "resnet18",
        "weights": "random",
    }
    project.write()
    assert "Encoders with random weights: face." in run().stdout
    assert json.loads(run("--json", "--encoders", "voice").stdout)["remarks"] == []


@pytest.mark.parametrize(
    "wrong",
    [["--split", "test"], ["--time-limit-s", "0"], ["--pooling", "mean"], ["--head", "ridge"]],
)
def test_wrong_usage_is_status_two(project, wrong):
    run(*wrong, status=2)
