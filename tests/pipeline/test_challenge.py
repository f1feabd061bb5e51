import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.store import write_clip_vectors, write_failures
from models.metrics import mean_pearson
from pipeline import stages
from pipeline.challenge import (
    check_submission,
    file_ids,
    submission_table,
)
from pipeline.params import ParamsError
from pipeline.paths import IMPUTED, PREDICTIONS
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

    def run(content, split="all", encoding="utf-8"):
        path = tmp_path / "predictions.csv"
        text = content if isinstance(content, str) else content.to_csv(index=False)
        path.write_bytes(text.encode(encoding))
        checked = check_submission(path, clips, TARGETS, split)
        json.dumps(checked.content(), allow_nan=False)
        assert str(checked)
        return checked

    return run


def faults(checked):
    found = [each for each in checked.findings.all if each.severity == "error"]
    return {each.kind: (len(each.items), *each.items[:3]) for each in found}


def warnings(checked):
    assert not checked.findings.have_errors
    return {each.kind: each.items for each in checked.findings.all}


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
    checked = check(table.to_csv(index=False, lineterminator=line_end), encoding=encoding)
    assert checked.findings.all == []
    assert checked.n_rows == checked.n_expected == len(table)
    assert list(checked.scores) == ["val"]  # Test has no labels
    val = clips[clips["split"] == "Val"].set_index("file_id")
    predicted = table.set_index("File_ID").loc[val.index, TARGETS]
    score = checked.scores["val"]
    assert score["mean_pearson"] == pytest.approx(mean_pearson(val[TARGETS], predicted))
    assert score["official_mean_pearson"] == pytest.approx(score["mean_pearson"])
    assert score["official_pearson"] == score["pearson"]


def test_one_split_alone(check, table, clips):
    test = table[table["File_ID"].isin(clips.loc[clips["split"] == "Test", "file_id"])]
    assert faults(check(test, "Test")) == {}
    n_val = (clips["split"] == "Val").sum()
    ((what, places),) = faults(check(table, "Test")).items()
    assert what == "ids are of clips of another split"
    assert places[:2] == (n_val, "'[00003]' is of Val")
    assert "ids are missing" in faults(check(test, "all"))


@pytest.mark.parametrize("written", ["00003", "3", " [00003]"])
def test_an_id_written_otherwise_is_a_fault(check, table, written):
    table["File_ID"] = table["File_ID"].replace("[00003]", written)
    found = {"ids are missing": (1, "'[00003]'"), "ids are unknown": (1, repr(written))}
    assert faults(check(table)) == found


def test_ids_missing_repeated_unknown_and_of_train(check, table):
    broken = pd.concat([table.iloc[1:], table.iloc[[1, 2, 2]]])
    broken.iloc[-1, 0] = "[99999]"
    broken.iloc[-2, 0] = "[00000]"
    first, second = table["File_ID"][:2]
    assert faults(check(broken)) == {
        "ids are missing": (1, repr(first)),
        "ids are there several times": (1, f"{second!r}: 2 times"),
        "ids are of clips of another split": (1, "'[00000]' is of Train"),
        "ids are unknown": (1, "'[99999]'"),
    }


@pytest.mark.parametrize(
    "cell", ["", "nan", "-Infinity", "1e999", "0,5", "n/a", "1_0", "٣", "0x1p3"]
)
def test_a_cell_that_is_no_finite_number(check, table, cell):
    text = table.astype(object)
    text.loc[4, "fear"] = cell
    checked = check(text)
    place = f"{table['File_ID'][4]} fear: {cell!r}"
    assert faults(checked) == {"cells are no finite numbers": (1, place)}
    assert not checked.scores


def test_columns_and_lines(check, table):
    order = faults(check(table[["File_ID", "fear", "joy", "awe"]]))
    assert list(order) == ["columns are in another order"]
    assert faults(check(table.drop(columns="awe"))) == {"columns are missing": (1, "'awe'")}
    assert faults(check(table.assign(Age=3))) == {"columns are unknown": (1, "'Age'")}
    renamed = faults(check(table.rename(columns={"joy": "Joy"})))
    assert renamed == {"columns are missing": (1, "'joy'"), "columns are unknown": (1, "'Joy'")}
    doubled = table.assign(more=0).rename(columns={"more": "joy"})
    assert "columns are there several times" in faults(check(doubled))
    text = table.to_csv(index=False).splitlines()
    text[2:4] = text[2] + ",0.5", text[3].rsplit(",", 1)[0]
    width = "lines have another number of cells"
    assert faults(check("\n".join(text)))[width] == (2, "line 3: 5 cells", "line 4: 3 cells")


@pytest.mark.parametrize(
    ("text", "encoding", "said"),
    [
        *((text, "utf-8", "") for text in ("", "\n", "File_ID", "File_ID,joy,fear,awe\n")),
        ("File_ID,jöy", "latin-1", "no CSV in UTF-8"),
        ("File_ID,joy,fear,awe\n" + "1" * 200_000, "utf-8", "no CSV"),
    ],
)
def test_what_is_no_table(check, text, encoding, said):
    checked = check(text, encoding=encoding)
    assert checked.n_rows == 0
    assert said in str(checked.findings.all[0])


def test_a_constant_column_is_a_warning_and_the_official_score_undefined(check, table):
    checked = check(table.assign(fear=0.1))
    assert warnings(checked) == {f"columns are constant on {s}": ["fear"] for s in ("Val", "Test")}
    score = checked.scores["val"]
    assert score["official_mean_pearson"] is score["official_pearson"]["fear"] is None
    assert score["pearson"]["fear"] == 0
    table.loc[[0, 1, 2], "joy"] = 50, -0.6, -0.4
    ((what, places),) = warnings(check(table)).items()
    assert what == "values on Val are far outside [0, 1]"
    assert places == ["[00003] joy: 50", "[00007] joy: -0.6"]


def test_what_cannot_be_checked_is_an_error(check, table, clips, tmp_path):
    expected = "expected a prediction file, CSV, such as results/predictions.csv"
    for name, came in (("gone.csv", "is not there"), ("", "is a folder")):
        with pytest.raises(ParamsError, match=f"{came}: {expected}"):
            check_submission(tmp_path / name, clips, TARGETS)
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
    checked = check(broken)
    if column == 0:
        assert (not checked.findings.have_errors) == (cell == old)
    elif not checked.findings.have_errors:
        assert np.isfinite(float(cell))


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
    said = []
    for status, *arguments in ((0, str(PREDICTIONS)), (1, "bad.csv"), (1, "bad.csv", "--json")):
        said.append(eri("check-submission", *arguments, status=status).stdout)
    assert "val r" in said[0]
    assert "error    ids are missing: 1 (" in said[1]
    assert "refused" in said[1]
    content = json.loads(said[2])
    assert (content["accepted"], content["findings"][0]["count"]) == (False, 1)
