import doctest
import json
import re
import sys
from functools import partial

import numpy as np
import pandas as pd
import pytest

from features.store import StoreError
from models.arrays import DataError
from pipeline.compare import compare
from pipeline.comparison import plan_comparison, run_comparison
from pipeline.params import ParamsError
from tests.pipeline.commands import eri

BASELINES = ["baseline/mean", "baseline/duration"]


def last(**asked):
    return run_comparison(plan_comparison(**asked))


run = partial(eri, "compare")


def test_all_heads_baselines_and_the_stack_are_ranked(project, fitted):
    table = compare()
    views = ("voice", "face", "face+voice")  # the narrowest first, and the cheapest head
    assert fitted[:2] == BASELINES
    assert sorted(fitted[2:]) == sorted(f"{h}/{v}" for h in ("average", "ridge") for v in views)
    assert [name for name in fitted if "ridge" in name] == [f"ridge/{view}" for view in views]
    assert len(table) == 2 + 6 + 1
    assert table["mean_pearson"].is_monotonic_decreasing
    assert table["ci95_low"].le(table["mean_pearson"]).all()
    assert table["better_than_best"].isna().tolist() == [True] + [False] * 8
    rows = table.set_index("name")
    constant = rows.loc[["average/face", "ridge/face", "baseline/mean"], "constant"]
    assert constant.tolist() == ["all", "", "all"]
    scores = rows["mean_pearson"]
    assert scores["ridge/face+voice"] > 0.5 > 0.2 > scores["baseline/duration"]
    assert (table["error"] == "").all()
    assert doctest.testmod(sys.modules["pipeline.compare"]) == (0, 4)  # failed, of so many


def test_nothing_is_fitted_twice(project, fitted):
    first = compare()
    n = len(fitted)
    pd.testing.assert_frame_equal(compare(), first)
    oof = compare(split="oof")
    assert oof["mean_pearson"].tolist() != first["mean_pearson"].tolist()
    assert len(fitted) == n
    assert sum(fit.reused for fit in last().fits.values()) == 9  # the stack as well
    compare(encoders=["face"], heads=["ridge", "pls"])
    assert fitted[n:] == ["pls/face"]
    project.content["heads"]["again"] = {"kind": "ridge"}  # the same fit by another name
    project.write()
    rows = compare(encoders=["face"]).set_index("name").drop(columns="better_than_best")
    assert rows.loc["again/face"].tolist() == rows.loc["ridge/face"].tolist()
    assert fitted[n:] == ["pls/face"]


def test_views_heads_and_targets_are_chosen_by_name(project):
    project.content["heads"]["other"] = {"kind": "ridge", "alphas": [1.0]}
    project.write()
    plan = plan_comparison(["voice+face", "voice", "face+voice"], ["other", "svr"], ["awe", "joy"])
    names = ["other/face+voice", "svr/face+voice", "other/voice", "svr/voice"]
    assert [task.name for task in plan.tasks] == BASELINES + names
    assert plan.tasks[2].head.model_dump() == {"kind": "ridge", "alphas": [1.0]}
    assert plan.params.targets == ("joy", "awe")  # in the order of the parameters
    np.testing.assert_array_equal(plan.rows.y, plan_comparison().rows.y[:, [0, 2]])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"encoders": ["fac"]}, "unknown encoder 'fac'; did you mean 'face'? Known: face, voice"),
        ({"encoders": ["face+"]}, "unknown encoder ''. Known: face, voice"),
        ({"heads": ["ridge", "svrr"]}, "unknown head 'svrr'; did you mean 'svr'"),
        ({"targets": ["joyy"]}, "unknown target 'joyy'; did you mean 'joy'? Known: joy, fear, awe"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest_and_all_known(project, asked, message):
    with pytest.raises(ParamsError, match=re.escape(message)):
        last(**asked)
    project.content["heads"]["ridge"]["alpha"] = 3
    project.write()
    with pytest.raises(ParamsError, match=r"heads\.ridge\.alpha: unknown key"):
        last()


def test_val_is_scored_where_it_is_labelled_else_train_out_of_fold(project):
    assert plan_comparison().split == "val"
    project.clips.loc[project.clips["split"] == "Val", project.content["targets"]] = np.nan
    project.write()
    assert plan_comparison().split == "oof"
    assert "fewer than two clips of Val" in str(run("--split", "val", status=1).exception)
    (project.folder / "data/pooled/voice.parquet").unlink()
    with pytest.raises(StoreError, match=r"neither data/pooled/voice.parquet nor.*dvc repro"):
        plan_comparison()
    plan_comparison(["face"])


def test_labels_too_few_for_a_head_or_the_stack_are_rows(project, fitted, monkeypatch):
    def refuse(*_, **__):
        raise DataError("too few people")

    with monkeypatch.context() as patch:
        patch.setattr("models.stack.stack_oof", refuse)
        errors = compare(encoders=["face"]).set_index("name")["error"]
    assert errors["stack"] == "too few people"
    assert (errors.drop("stack") == "").all()
    train = project.clips["split"] == "Train"
    first = project.clips.loc[train, "group"].iloc[0]
    project.clips.loc[train & (project.clips["group"] != first), "awe"] = np.nan
    project.write()
    assert (compare(encoders=["face"], heads=["average"])["error"] != "").all()


def test_columns_of_the_label_table_are_baselines(project, fitted):
    rng = np.random.default_rng(0)
    project.clips["luck"] = rng.normal(size=len(project.clips)).round(3).astype(str)
    project.clips["secret"] = project.clips["awe"].map(str, na_action="ignore").astype("string")
    project.clips["country"] = rng.choice(["NA", "IT", "NL"], len(project.clips))
    project.content["evaluation"]["baselines"] = ["luck", "secret", "country"]
    project.write()
    table = compare(encoders=["face"], heads=["ridge"], targets=["awe"]).set_index("name")
    scores = table["mean_pearson"]
    assert scores["baseline/secret"] > 0.99  # a number, also where it is written as text
    assert scores[["baseline/luck", "baseline/country"]].max() < 0.6


def test_rows_come_as_lines_then_the_tables(project, fitted):
    lines = run("--encoders", "face").stdout.splitlines()
    assert lines[0].startswith("baseline/mean: mean Pearson +0.000, ")
    assert lines[4].startswith("stack: mean Pearson +0.")
    title = next(line for line in lines if line.startswith("Mean Pearson over 3 targets"))
    assert "on Val: 8 clips of 5 people; intervals and P from 100 resamples of people" in title
    text = "\n".join(lines)
    for column in ("head/view", "val r", "val 95 % CI", "P > best", "fit s", "joy", "constant"):
        assert column in text
    assert "5 rows are from before" in run("--encoders", "face").stdout.splitlines()


def test_json_is_all_there_is_on_stdout_and_files_are_the_same_again(project, fitted):
    folder, files = project.folder / "results/compare", []
    for _ in range(2):
        content = json.loads(run("--json", "--split", "oof").stdout)
        files.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert files[0] == files[1]
    names = {f"leaderboard.{ending}" for ending in ("parquet", "csv", "md")}
    assert set(files[0]) == names | {"errors.txt"}
    best, second, *_ = rows = content["leaderboard"]
    assert {"pearson_joy", "pearson_fear", "pearson_awe", "pooled_mean_pearson"} <= set(best)
    assert best["ci95_low"] < best["mean_pearson"] < best["ci95_high"]
    assert best["better_than_best"] is None
    assert 0 <= second["better_than_best"] <= 1
    assert (best["error"], content["n_reused"], len(rows)) == ("", 9, 9)
    table = pd.read_parquet(folder / "leaderboard.parquet")
    assert table["split"].unique().tolist() == [content["split"]] == ["oof"]
    csv = pd.read_csv(folder / "leaderboard.csv", keep_default_na=False, na_values=[""])
    assert csv["mean_pearson"].tolist() == table["mean_pearson"].tolist()
    text = (folder / "leaderboard.md").read_text()
    assert "| head/view | oof r | oof 95 % CI |" in text
    assert text.count("\n| ") == len(table) + 2
