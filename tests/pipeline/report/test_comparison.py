import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

from models.evaluation.bootstrap import bootstrap_scores, percentile_interval
from pipeline.clip_table import read_rows
from pipeline.leaderboard import leaderboard, score_splits
from pipeline.params import ParamsError, load_params
from pipeline.predictions import write_prediction_table
from pipeline.report.comparison import changes, compare_runs, comparison_text, render_comparison
from pipeline.report.pairing import pair_runs
from pipeline.report.revisions import parse_revisions


@pytest.fixture
def run(project, tmp_path):
    """Make the files of a run in a folder, with predictions that are off by some noise."""

    def make(name, noise, **settings):
        folder = tmp_path / name
        shutil.copytree(project.folder / "data", folder / "data")
        content = project.content | settings
        (folder / "params.yaml").write_text(yaml.safe_dump(content))
        params = load_params(folder / "params.yaml", check_heads=False)
        data = folder / "data"
        rows = read_rows(params, data / "clips.parquet", data / "folds.parquet")
        rng = np.random.default_rng(1)
        truth = np.nan_to_num(rows.y)
        views = [*params.encoders, "+".join(sorted(params.encoders))]

        def draw():
            return truth + noise * rng.normal(size=truth.shape)

        results = folder / "results"
        stack, scored = draw(), {}
        write_prediction_table(results / "stack.parquet", {"stack": stack}, rows, params.targets)
        for head in params.heads:
            by_view = {view: draw() for view in views}
            path = results / "oof" / f"{head}.parquet"
            write_prediction_table(path, by_view, rows, params.targets)
            scored |= {f"{head}/{view}": each for view, each in by_view.items()}
        baseline = {"mean": np.full_like(truth, 0.3)}
        write_prediction_table(results / "baselines.parquet", baseline, rows, params.targets)
        scored |= {"stack": stack, "baseline/mean": baseline["mean"]}
        table = leaderboard(score_splits(scored, rows, params))
        table.to_csv(results / "leaderboard.csv", index=False)
        return folder, rows, stack

    return make


def test_differences_are_paired_over_people(run, project):
    before, rows, old = run("before", 0.8)
    after, _, new = run("after", 0.1)
    pairs = pair_runs(before, after, "val")
    val = (rows.clips["split"] == "Val").to_numpy()
    draws = {"n_resamples": 100, "seed": project.content["seed"]}
    members = np.stack([old[val], new[val]])
    one, two = bootstrap_scores(rows.y[val], members, rows.people[val], **draws)
    ends, stack = percentile_interval(two - one), pairs.differences["stack"]
    assert (stack.low, stack.high) == pytest.approx((ends.low, ends.high))
    assert stack.low < stack.gain < stack.high
    assert stack.probability > 0.9
    assert pairs.n_clips == val.sum()
    assert pairs.differences["baseline/mean"].gain == 0


def test_the_page_shows_both_and_what_changed(run, project):
    before, _, _ = run("before", 0.8)
    heads = {**project.content["heads"], "ridge": {"kind": "ridge", "alphas": [1.0]}}
    after, _, _ = run("after", 0.1, heads=heads)
    comparison = compare_runs("v1<", "workspace", (before, after))
    assert comparison.params == {"heads.ridge.alphas": ("not there", "[1.0]")}
    assert "v1< has no results/run.json" in comparison.notes[0]
    page = render_comparison(comparison)
    assert page.count("<svg") == 1
    assert "v1&lt;" in page
    assert "v1<" not in page
    assert "heads.ridge.alphas" in page
    assert "http" not in page
    table = pd.read_csv(after / "results" / "leaderboard.csv").set_index("name")
    row = next(each for each in comparison.rows if each["name"] == "stack")
    assert row["after"]["mean_pearson"] == table.loc["stack", "val_mean_pearson"]
    assert "stack" in comparison_text(comparison)


def test_only_clips_with_the_same_labels_are_paired(run, project):
    before, _, _ = run("before", 0.5)
    val = project.clips.index[project.clips["split"] == "Val"]
    project.clips.loc[val[0], "joy"] += 0.5
    project.clips = project.clips.drop(index=val[1])
    project.write()
    after, _, _ = run("after", 0.5)
    pairs = pair_runs(before, after, "val")
    assert pairs.n_clips == len(val) - 2
    assert pairs.note.startswith("2 clips are not in both runs")


def test_what_cannot_be_paired_is_said_and_scores_are_shown(run):
    before, _, _ = run("before", 0.5)
    after, _, _ = run("after", 0.5)
    (before / "results" / "stack.parquet").unlink()
    comparison = compare_runs("old", "new", (before, after))
    assert "No paired differences" in comparison.notes[-1]
    page = render_comparison(comparison)
    assert "<svg" not in page
    assert "stack" in page


def test_changes_go_by_dotted_keys():
    found = changes({"a": {"b": 1, "c": [1, 2]}, "d": {}}, {"a": {"b": 1, "c": [1]}, "e": 2})
    assert found == {
        "a.c": ("[1, 2]", "[1]"),
        "d": ("{}", "not there"),
        "e": ("not there", "2"),
    }


def test_one_revision_or_two():
    assert parse_revisions("HEAD~1") == ("HEAD~1", "workspace")
    assert parse_revisions("v1..v2") == ("v1", "v2")
    for wrong in ("", "..", "v1..", "..v2"):
        with pytest.raises(ParamsError, match="names no revision"):
            parse_revisions(wrong)
