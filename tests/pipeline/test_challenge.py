import json
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.store import write_clip_vectors, write_failures
from models.metrics import mean_pearson
from pipeline import stages
from pipeline.challenge import check_submission
from pipeline.params import ParamsError
from pipeline.paths import IMPUTED, PREDICTIONS
from pipeline.views import file_ids, submission_table
from tests.pipeline.commands import eri

TARGETS = ["joy", "fear", "awe"]
ANY_FIXTURE = [HealthCheck.function_scoped_fixture]


@pytest.fixture
def clips(clips):
    clips["file_id"] = "[" + clips["clip_id"].str.zfill(5) + "]"
    return clips


@pytest.fixture
def table(rows):
    """A file without fault: ids are [00003] and the like."""
    noise = np.random.default_rng(0).uniform(size=rows.y.shape)
    return submission_table(0.5 * np.nan_to_num(rows.y) + 0.5 * noise, rows.clips, TARGETS)


@pytest.fixture
def check(clips, tmp_path):
    """Write a table, or text, and check it."""

    def run(content, *splits, encoding="utf-8"):
        path = tmp_path / "predictions.csv"
        text = content if isinstance(content, str) else content.to_csv(index=False)
        path.write_bytes(text.encode(encoding))
        scores = check_submission(path, clips, TARGETS, splits or ("Val", "Test"))
        json.dumps(scores, allow_nan=False)
        return scores

    return run


def test_a_file_has_each_clip_of_val_and_test_under_the_challenge_s_id(rows):
    predictions = np.random.default_rng(0).normal(size=rows.y.shape)
    held = rows.clips[rows.clips["split"] != "Train"]
    table = submission_table(predictions, rows.clips, TARGETS)
    assert table.columns.tolist() == ["File_ID", *TARGETS]
    np.testing.assert_array_equal(table[TARGETS], predictions[held.index])
    rows.clips.loc[held.index[:2], "file_id"] = [pd.NA, ""]  # the clip's own
    ids = submission_table(predictions, rows.clips, TARGETS)["File_ID"].tolist()
    assert ids == [*held["clip_id"][:2], *held["file_id"][2:]]
    assert file_ids(rows.clips.drop(columns="file_id")).tolist() == rows.clip_ids


@pytest.mark.parametrize(("encoding", "line_end"), [("utf-8", "\n"), ("utf-8-sig", "\r\n")])
def test_our_own_file_is_accepted_and_scored(check, table, clips, encoding, line_end):
    table = table.sample(frac=1, random_state=1)  # the order of rows is free
    scores = check(table.to_csv(index=False, lineterminator=line_end), encoding=encoding)
    assert list(scores) == ["val"]  # Test has no labels
    val = clips[clips["split"] == "Val"].set_index("file_id")
    predicted = table.set_index("File_ID").loc[val.index, TARGETS]
    assert scores["val"]["mean_pearson"] == pytest.approx(mean_pearson(val[TARGETS], predicted))
    assert scores["val"]["official_mean_pearson"] == pytest.approx(scores["val"]["mean_pearson"])
    assert scores["val"]["official_pearson"] == scores["val"]["pearson"]
    test = table[table["File_ID"].isin(clips.loc[clips["split"] == "Test", "file_id"])]
    assert check(test, "Test") == {}
    constant = check(table.assign(fear=0.1))["val"]
    assert constant["official_mean_pearson"] is constant["official_pearson"]["fear"] is None
    assert constant["pearson"]["fear"] == 0


def with_cell(row, column, cell):
    def change(table):
        table = table.astype(object)
        table.loc[row, column] = cell
        return table

    return change


def with_odd_ids(table):
    odd = pd.concat([table.iloc[1:], table.iloc[[1, 2, 2]]])
    odd.iloc[-2:, 0] = ["[00000]", "[99999]"]
    return odd


NO_NUMBERS = ["", "nan", "-Infinity", "1e999", "0,5", "n/a", "1_0", "\u0663", "0x1p3", "True"]
WRONG = {
    **{
        f"cells are no finite numbers: 1 ('[00003] fear: {c}')": with_cell(0, "fear", c)
        for c in NO_NUMBERS
    },
    "are missing: 1 ('[00003]'); ids are of no clip of Val or Test: 1 ('3')": with_cell(
        0, "File_ID", "3"
    ),
    "ids are missing: 1 ('[00003]'); ids are there several times: 1 ('[00007]'); "
    "ids are of no clip of Val or Test: 2 ('[00000]', '[99999]')": with_odd_ids,
    "columns awe,fear,joy,File_ID: expected File_ID,joy,fear,awe": lambda t: t[[*t][::-1]],
    "has the columns File_ID,joy,fear:": lambda t: t.drop(columns="awe"),
    "has the columns File_ID,joy,fear,awe,joy:": lambda t: pd.concat([t, t[["joy"]]], axis=1),
    "columns File_ID:": lambda t: "File_ID",
    "ids are missing: ": lambda t: "File_ID,joy,fear,awe\n",
    "cells are no finite numbers: 2 ('[00003] fear: ', '[00003] awe: ')": lambda t: t.to_csv(
        index=False
    )[:31],
    "no table in UTF-8 with commas: No columns": lambda t: "",
    "Expected 4 fields in line 2, saw 5": lambda t: "File_ID,joy,fear,awe\n1,2,3,4,5",
}


@pytest.mark.parametrize("said", WRONG)
def test_what_would_be_refused_is_named(check, table, said):
    with pytest.raises(ParamsError, match=re.escape(said)):
        check(WRONG[said](table))


def test_what_cannot_be_checked_is_an_error(check, table, clips, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.csv"):
        check_submission(tmp_path / "gone.csv", clips, TARGETS)
    with pytest.raises(ParamsError, match="no table in UTF-8"):
        check("File_ID,jöy", encoding="latin-1")
    with pytest.raises(ParamsError, match="ids are of no clip of Test: "):
        check(table, "Test")
    clips.loc[clips.index[-2:], "file_id"] = "[7]"
    with pytest.raises(ParamsError, match=r"1 values of `file_id` belong.*'\[7\]'"):
        check(table)
    clips.loc[clips["split"] == "Test", "split"] = "Train"
    with pytest.raises(ParamsError, match="no clip of Test"):
        check(table, "Test")


@settings(max_examples=100, suppress_health_check=ANY_FIXTURE)
@given(
    place=st.integers(0, 15),
    column=st.integers(0, 3),
    cell=st.text(st.characters(codec="utf-8"), max_size=8),
)
def test_only_what_means_the_same_is_accepted(check, table, place, column, cell):
    """Whatever is written into a cell: the file is accepted only if ids and numbers stay good."""
    broken = table.astype(object)
    old = broken.iloc[place % len(table), column]
    broken.iloc[place % len(table), column] = cell
    try:
        check(broken)
    except ParamsError:
        assert cell != old
    else:
        assert cell == old if column == 0 else np.isfinite(float(cell))


def write_vectors(path, clip_ids):
    vectors = np.random.default_rng(0).normal(size=(len(clip_ids), 4)).astype(np.float32)
    path.parent.mkdir(exist_ok=True)
    write_clip_vectors(path, np.array(clip_ids, object), vectors, {})


def test_the_stage_predicts_clips_that_failed_and_the_command_checks_its_file(project):
    """One clip of Test has no features at all, one of Val no face."""
    for encoder, lost in {"face": ["039", "003"], "voice": ["039"]}.items():
        ids = [clip_id for clip_id in project.clips["clip_id"] if clip_id not in lost]
        write_vectors(project.folder / "data" / "pooled" / f"{encoder}.parquet", ids)
        failed = pd.DataFrame({"clip_id": ["039"], "step": "decode", "reason": f"no {encoder}"})
        write_failures(project.folder / f"data/features/{encoder}.failures.parquet", failed)
    project.write()
    for head in project.content["heads"]:
        stages.fit(head)
    stages.stack()
    predicted = pd.read_csv(PREDICTIONS).set_index("File_ID")
    assert np.isfinite(predicted.to_numpy()).all()
    flagged = pd.read_csv(IMPUTED, dtype={"clip_id": str})
    assert flagged.drop(columns="clip_id").to_numpy().tolist() == [
        ["[00003]", "Val", "face", False, "face: no features"],
        ["[00039]", "Test", "face+voice", True, "face: decode: no face; voice: decode: no voice"],
    ]
    assert not list(PREDICTIONS.parent.glob(".*"))
    predicted[1:].to_csv("bad.csv")
    assert "val r" in eri("check-submission", PREDICTIONS).stdout
    assert list(json.loads(eri("check-submission", PREDICTIONS, "--json").stdout)["scores"]) == [
        "val"
    ]
    assert "ids are missing: 1" in str(eri("check-submission", "bad.csv", status=1).exception)
