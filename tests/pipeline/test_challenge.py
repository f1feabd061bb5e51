import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from models.metrics import mean_pearson
from pipeline import cli
from pipeline.challenge import check_submission, check_text
from pipeline.params import ParamsError
from pipeline.submission import submission_table

TARGETS = ["joy", "fear", "awe"]


@pytest.fixture
def clips(clips):
    clips["file_id"] = "[" + clips["clip_id"].str.zfill(5) + "]"
    return clips


@pytest.fixture
def table(rows, params):
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
        return check_submission(path, clips, TARGETS, split)

    return run


def faults(checked):
    return {fault.what.split(";")[0]: (fault.count, *fault.examples) for fault in checked.faults}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_our_own_file_is_accepted_and_scored(check, table, clips, encoding, line_end):
    table = table.sample(frac=1, random_state=1)  # the order of rows is free
    checked = check(table.to_csv(index=False, lineterminator=line_end), encoding=encoding)
    assert checked.accepted
    assert not checked.warnings
    assert checked.n_rows == checked.n_expected == len(table)
    assert list(checked.scores) == ["val"]  # Test has no labels
    val = clips[clips["split"] == "Val"].set_index("file_id")
    predicted = table.set_index("File_ID").loc[val.index, TARGETS]
    score = checked.scores["val"]
    assert score["mean_pearson"] == pytest.approx(mean_pearson(val[TARGETS], predicted))
    assert score["official_mean_pearson"] == pytest.approx(score["mean_pearson"])
    assert score["official_pearson"] == score["pearson"]


def test_one_split_alone(check, table, clips):
    test = clips.loc[clips["split"] == "Test", "file_id"]
    alone = check(table[table["File_ID"].isin(test)], "Test")
    assert alone.accepted
    assert alone.n_rows == 6
    both = faults(check(table, "Test"))
    n_val = (clips["split"] == "Val").sum()
    assert list(both) == ["ids are of clips of another split (see --split)"]
    assert next(iter(both.values()))[:2] == (n_val, "'[00003]' is of Val")
    assert "ids are missing" in faults(check(table[table["File_ID"].isin(test)], "all"))


@pytest.mark.parametrize(
    ("written", "ours"),
    [
        ("00003", "[00003]"),
        ("3", "[00003]"),
        ("[3]", "[00003]"),
        (" [00003]", "[00003]"),
        ("(00003)", "[00003]"),
        ("00003.mp4", "[00003]"),
        ("[00003].MP4", "[00003]"),
        ("val/mp4/00003.mp4", "[00003]"),
    ],
)
def test_an_id_written_otherwise_is_a_fault_with_its_mending(check, table, written, ours):
    table["File_ID"] = table["File_ID"].replace(ours, written)
    assert faults(check(table)) == {
        "ids are not written as the challenge does": (1, f"{written!r}: write {ours!r}")
    }


def test_case_is_told_apart(tmp_path, clips):
    clips["file_id"] = "Clip_" + clips["clip_id"]
    held = clips[clips["split"] != "Train"]
    table = pd.DataFrame({"File_ID": held["file_id"].str.lower()})
    table[TARGETS] = np.random.default_rng(0).uniform(size=(len(held), 3))
    table.to_csv(tmp_path / "p.csv", index=False)
    found = faults(check_submission(tmp_path / "p.csv", clips, TARGETS))
    assert found["ids are not written as the challenge does"][:2] == (
        len(held),
        "'clip_003': write 'Clip_003'",
    )
    assert len(found) == 1


def test_ids_missing_repeated_unknown_and_of_train(check, table):
    broken = pd.concat([table.iloc[1:], table.iloc[[1, 2, 2]]])
    broken.iloc[-1, 0] = "[99999]"
    broken.iloc[-2, 0] = "[00000]"
    first, second = table["File_ID"][:2]
    assert faults(check(broken)) == {
        "ids are missing": (1, repr(first)),
        "ids are there several times": (1, f"{second!r}: 2 times"),
        "ids are of clips of another split (see --split)": (1, "'[00000]' is of Train"),
        "ids are unknown": (1, "'[99999]'"),
    }


@pytest.mark.parametrize(
    "cell", ["", "nan", "inf", "-Infinity", "1e999", "0,5", "n/a", "1_0", "٣", "0x1p3"]
)
def test_a_cell_that_is_no_finite_number(check, table, cell):
    text = table.astype(object)
    text.loc[4, "fear"] = cell
    expected = {"cells are no finite numbers": (1, f"{table['File_ID'][4]} fear: {cell!r}")}
    checked = check(text)
    assert faults(checked) == expected
    assert not checked.scores


def test_columns(check, table):
    assert list(faults(check(table[["File_ID", "fear", "joy", "awe"]]))) == [
        "columns are in another order"
    ]
    assert faults(check(table.drop(columns="awe"))) == {"columns are missing": (1, "'awe'")}
    assert faults(check(table.assign(Age=3))) == {"columns are unknown": (1, "'Age'")}
    renamed = faults(check(table.rename(columns={"joy": "Joy"})))
    assert renamed == {"columns are not written as the challenge does": (1, "'Joy': write 'joy'")}
    doubled = table.assign(more=0).rename(columns={"more": "joy"})
    assert "columns are there several times" in faults(check(doubled))


def test_lines_of_another_width(check, table):
    text = table.to_csv(index=False).splitlines()
    text[2] += ",0.5"
    text[3] = text[3].rsplit(",", 1)[0]
    found = faults(check("\n".join(text)))
    width = "lines have another number of cells than the header's 4"
    assert found[width] == (2, "line 3: 5 cells", "line 4: 3 cells")


@pytest.mark.parametrize("text", ["", "\n", "File_ID", "File_ID,joy,fear,awe\n"])
def test_a_file_of_nothing(check, text):
    checked = check(text)
    assert checked.n_rows == 0
    assert checked.faults


def test_what_is_no_text(check):
    assert "no CSV in UTF-8" in check("File_ID,jöy", encoding="latin-1").faults[0].what
    assert not check("File_ID,joy" * 9, encoding="utf-16").accepted
    assert "no CSV" in check("File_ID,joy,fear,awe\n" + "1" * 200_000).faults[0].what


def test_a_constant_column_is_a_warning_and_the_official_score_undefined(check, table):
    checked = check(table.assign(fear=0.1))
    assert checked.accepted
    assert [(each.what.split(":")[0], each.examples) for each in checked.warnings] == [
        ("columns are constant on Val", ["fear"]),
        ("columns are constant on Test", ["fear"]),
    ]
    score = checked.scores["val"]
    assert score["official_mean_pearson"] is None
    assert score["official_pearson"]["fear"] is None
    assert score["pearson"]["fear"] == 0
    assert "NaN" in check_text(checked, "file")
    json.dumps(asdict(checked), allow_nan=False)


def test_far_values_are_a_warning(check, table):
    table.loc[0, "joy"], table.loc[1, "joy"], table.loc[2, "joy"] = 50, -0.6, -0.4
    (warning,) = check(table).warnings
    assert warning.count == 2
    assert warning.examples[0] == "[00003] joy: 50"


def test_a_split_without_clips_and_a_repeated_id_are_errors(check, table, clips):
    clips.loc[clips.index[-2:], "file_id"] = "[7]"
    with pytest.raises(ParamsError, match=r"1 values of `file_id` belong.*'\[7\]'"):
        check(table)
    clips.loc[clips["split"] == "Test", "split"] = "Train"
    with pytest.raises(ParamsError, match="no clip of Test"):
        check(table, "Test")


CELLS = st.text(st.characters(codec="utf-8"), max_size=8)


@settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(place=st.integers(0, 15), column=st.integers(0, 3), cell=CELLS)
def test_only_what_means_the_same_is_accepted(check, table, place, column, cell):
    """Whatever is written into a cell: the file is accepted only if ids and numbers stay good."""
    broken = table.astype(object)
    old = broken.iloc[place % len(table), column]
    broken.iloc[place % len(table), column] = cell
    checked = check(broken)
    json.dumps(asdict(checked), allow_nan=False)
    assert check_text(checked, "file")
    if column == 0:
        assert checked.accepted == (cell == old)
    elif checked.accepted:
        assert np.isfinite(float(cell))
    else:
        assert faults(checked)


def test_the_command(project, tmp_path):
    held = project.clips[project.clips["split"] != "Train"]
    table = pd.DataFrame({"File_ID": held["file_id"]})
    table[TARGETS] = np.random.default_rng(0).uniform(size=(len(held), 3))
    table.to_csv("good.csv", index=False)
    table[1:].to_csv("bad.csv", index=False)
    runner = CliRunner()
    good = runner.invoke(cli.app, ["check-submission", "good.csv"])
    assert good.exit_code == 0
    assert "val r" in good.stdout
    bad = runner.invoke(cli.app, ["check-submission", "bad.csv"])
    assert bad.exit_code == 1
    assert "FAULT  ids are missing (1)" in bad.stdout
    assert "refused" in bad.stdout
    shown = runner.invoke(cli.app, ["check-submission", "bad.csv", "--json"])
    assert shown.exit_code == 1
    content = json.loads(shown.stdout)
    assert content["accepted"] is False
    assert content["faults"][0]["count"] == 1


@pytest.mark.parametrize(("name", "came"), [("gone.csv", "is not there"), ("", "is a folder")])
def test_what_is_no_file_is_said_with_what_was_expected(clips, tmp_path, name, came):
    expected = f"{came}: expected a prediction file, CSV, such as results/predictions.csv"
    with pytest.raises(ParamsError, match=expected):
        check_submission(tmp_path / name, clips, TARGETS)
