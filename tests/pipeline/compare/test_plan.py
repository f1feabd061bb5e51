import re

import numpy as np
import pytest

from features.store import StoreError
from pipeline.compare.plan import Request, check_heads, make_plan, parse_pooling
from pipeline.params import ParamsError


def plan(project, **asked):
    return make_plan(Request(**asked), project.folder / "cache")


def test_by_default_every_head_meets_every_view_and_baselines_come_first(project):
    names = [job.name for job in plan(project).jobs]
    assert names == [
        *("baseline/mean", "baseline/duration"),
        *("ridge/face", "average/face", "ridge/voice", "average/voice"),
        *("ridge/face+voice", "average/face+voice"),
    ]


def test_views_and_heads_are_chosen_by_name(project):
    project.content["heads"]["other"] = {"kind": "ridge", "alphas": [1.0]}
    project.write()
    jobs = plan(
        project, encoders=["voice+face", "voice", "face+voice"], heads=["other", "svr"]
    ).jobs
    assert [job.name for job in jobs[2:]] == [
        *("other/face+voice", "svr/face+voice", "other/voice", "svr/voice")
    ]
    assert (jobs[2].kind, jobs[2].settings) == ("ridge", {"alphas": [1.0]})
    assert (jobs[3].kind, jobs[3].settings) == ("svr", {})
    assert jobs[2].view.bands == (6, 4)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"encoders": ["fac"]}, "unknown encoder 'fac'; did you mean 'face'? Known: face, voice"),
        ({"encoders": ["face+vice"]}, "unknown encoder 'vice'; did you mean 'voice'"),
        ({"encoders": [""]}, "unknown encoder ''. Known: face, voice"),
        ({"targets": ["joyy"]}, "unknown target 'joyy'; did you mean 'joy'? Known: joy, fear, awe"),
        ({"by": "contry"}, "unknown column 'contry'"),
        ({"pooling": "mean/hole"}, "unknown part 'hole'; did you mean 'whole'"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest_and_all_known(project, asked, message):
    with pytest.raises(ParamsError, match=re.escape(message)):
        plan(project, **asked)


def test_heads_are_names_or_kinds(project):
    request = Request(heads=["ridge", "average", "mlp"])
    check_heads(request, plan(project, heads=["ridge"]))
    for wrong, near in (("ridges", "ridge"), ("averag", "average")):
        with pytest.raises(ParamsError, match=f"unknown head '{wrong}'; did you mean '{near}'"):
            check_heads(Request(heads=[wrong]), plan(project, heads=[wrong]))
    project.content["heads"]["ridge"]["alpha"] = 3
    project.write()
    with pytest.raises(ParamsError, match=r"heads\.ridge\.alpha: unknown key"):
        check_heads(request, plan(project))


def test_targets_come_in_the_order_of_the_parameters(project):
    chosen = plan(project, targets=["awe", "joy"])
    assert chosen.params.targets == ("joy", "awe")
    np.testing.assert_array_equal(chosen.rows.y, plan(project).rows.y[:, [0, 2]])


def test_val_is_scored_where_it_is_labelled_else_train_out_of_fold(project):
    default, oof = plan(project), plan(project, split="oof")
    assert default.split == "val"
    assert (default.rows.clips.loc[default.scored, "split"] == "Val").all()
    assert (oof.rows.clips.loc[oof.scored, "split"] == "Train").all()
    project.clips.loc[project.clips["split"] == "Val", project.content["targets"]] = np.nan
    project.write()
    assert plan(project).split == "oof"
    for asked in ({"split": "val"}, {"learning_curve": True}):
        with pytest.raises(ParamsError, match="no clip of Val is labelled"):
            plan(project, **asked)


def test_a_pooling_is_read(project):
    pooling = parse_pooling("mean,slope/whole,quarters")
    assert pooling.statistics == ("mean", "slope")
    assert pooling.parts == ("whole", "quarters")
    for text in ("mean", "mean/whole/halves", ""):
        with pytest.raises(ParamsError, match="statistics/parts"):
            parse_pooling(text)


def test_missing_clip_vectors_are_said_before_anything_runs(project):
    (project.folder / "data/pooled/voice.parquet").unlink()
    with pytest.raises(StoreError, match=r"neither data/pooled/voice.parquet nor.*dvc repro"):
        plan(project)
    plan(project, encoders=["face"])
