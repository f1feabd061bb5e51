import pandas as pd
import pytest

from pipeline.findings import RefusedError
from pipeline.labels import LabelError, person_of, read_labels

LABELS = {
    "clip_id": ["00001", "00002", "00003"],
    "path": ["a.mp4", " ", None],
    "split": ["Train", "Val", "Test"],
    "joy": [1.0, 0.25, None],
    "fear": [0.0, 1.0, None],
}


@pytest.fixture
def read(tmp_path):
    """Read text, or a table of `LABELS` with other columns, as labels of joy and fear."""

    def read(given: str | dict, suffix: str = ".csv", encoding: str = "utf-8") -> pd.DataFrame:
        path = tmp_path / f"labels{suffix}"
        if isinstance(given, str):
            path.write_text(given)
        elif suffix == ".csv":
            pd.DataFrame(LABELS | given).to_csv(path, index=False, encoding=encoding)
        else:
            pd.DataFrame(LABELS | given).to_parquet(path)
        return read_labels(path, ["joy", "fear"])

    return read


@pytest.mark.parametrize(
    "form", [{}, {"encoding": "utf-8-sig"}, {"suffix": ".parquet"}], ids=["csv", "mark", "parquet"]
)
def test_ids_stay_text_blanks_are_missing_and_further_columns_are_kept(read, form):
    labels = read({"country": ["NA", "X", "NA"]}, **form)
    first = ["clip_id", "path", "split", "group", "joy", "fear"]
    assert labels.columns.tolist() == [*first, "country"]
    assert labels["clip_id"].tolist() == ["00001", "00002", "00003"]
    assert labels["joy"].isna().tolist() == [False, False, True]
    assert labels["path"].isna().tolist() == [False, True, True]
    assert labels["country"].tolist() == ["NA", "X", "NA"]
    assert labels["group"].isna().all()


def test_without_paths_no_clip_has_media_and_rows_may_end_in_a_comma(read):
    labels = read("clip_id,split,joy,fear\n00001,Train,1,0,\n00002,Val,0.25,1,")
    assert labels["path"].isna().all()
    assert labels["clip_id"].tolist() == ["00001", "00002"]
    assert labels["fear"].tolist() == [0, 1]


def test_a_clip_without_a_group_is_a_person_of_its_own_and_na_may_be_one(read):
    assert person_of(read({"group": [" ", "NA", "p1"]})).tolist() == ["clip:00001", "NA", "p1"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"clip_id": ["a", "b", "a"]}, "2 of 3 rows with a clip_id that is not unique: a; a"),
        ({"clip_id": ["a", None, "c"]}, "1 of 3 rows with an empty clip_id"),
        ({"split": ["Train", "val", "Test"]}, "a split other than Train, Val, Test: 00002 = val"),
        ({"joy": [1.0, 1.5, None]}, r"a joy outside \[0, 1\]: 00002 = 1.5"),
        ({"fear": [-0.1, 1.0, None]}, r"a fear outside \[0, 1\]: 00001 = -0.1"),
        ({"joy": ["1", "high", ""]}, "a joy that is no number: 00002 = high"),
        ({"joy": [None] * 3}, "no clip with split Train that is labelled for 'joy': label"),
        ({"sha256": ["x", "y", "z"]}, r"has the column\(s\) \['sha256'\].*rename them"),
    ],
)
def test_what_cannot_be_used_is_named_with_examples(read, columns, message):
    with pytest.raises(LabelError, match=message):
        read(columns)


@pytest.mark.parametrize(
    ("text", "suffix", "message"),
    [
        (
            "clip_ids,split,joy,fear\n1,Train,1,1",
            ".csv",
            r"lacks .*\['clip_id'\]; did you mean 'clip_ids'",
        ),
        (
            "clip_id,split,joy,fears\n1,Train,1,1",
            ".csv",
            r"lacks .*\['fear'\]; did you mean 'fears'",
        ),
        (
            "clip_id,split,joy,fear\na,Train,1,0,Rome, Italy",
            ".csv",
            "line 2 has 6 cells, the header 4",
        ),
        ("no parquet", ".parquet", "cannot be read as a table"),
        ("", ".csv", "nothing in it"),
        ("clip_id;split;joy;fear\n1;Train;0,5;1", ".csv", "not UTF-8 with commas .*semicolon"),
    ],
)
def test_files_that_cannot_be_used_are_said(read, text, suffix, message):
    with pytest.raises(RefusedError, match=message):
        read(text, suffix)


def test_a_missing_file_says_which_parameter_names_it(tmp_path):
    with pytest.raises(LabelError, match=r"labels.csv is not there: set `data\.labels`"):
        read_labels(tmp_path / "labels.csv", ["joy"])
