from pathlib import Path

import pandas as pd
import pytest

from pipeline.labels import LabelError, person_of, read_labels

TARGETS = ["joy", "fear"]


def table(**columns: list) -> pd.DataFrame:
    base = {
        "clip_id": ["00001", "00002", "00003"],
        "path": ["a.mp4", "b.mp4", "c.mp4"],
        "split": ["Train", "Val", "Test"],
        "joy": [1.0, 0.25, None],
        "fear": [0.0, 1.0, None],
    }
    return pd.DataFrame(base | columns)


@pytest.fixture
def read(tmp_path: Path):
    def read(frame: pd.DataFrame, suffix: str = ".csv", **kwargs) -> pd.DataFrame:
        path = tmp_path / f"labels{suffix}"
        if suffix == ".csv":
            frame.to_csv(path, index=False, **kwargs)
        else:
            frame.to_parquet(path)
        return read_labels(path, TARGETS)

    return read


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_ids_stay_text_and_blanks_are_unlabelled(read, suffix):
    labels = read(table(), suffix)
    assert labels["clip_id"].tolist() == ["00001", "00002", "00003"]
    assert labels["joy"].isna().tolist() == [False, False, True]
    assert labels["group"].isna().all()


def test_a_byte_order_mark_is_no_part_of_a_name(read):
    assert "clip_id" in read(table(), encoding="utf-8-sig")


@pytest.mark.parametrize("path", [["a.mp4", " ", None], None])
def test_clips_may_have_no_media(read, path):
    given = table().drop(columns="path") if path is None else table(path=path)
    assert read(given)["path"].isna().tolist() == [path is None, True, True]


def test_rows_may_end_in_a_comma(tmp_path):
    lines = ["clip_id,split,joy,fear", "00001,Train,1,0,", "00002,Val,0.25,1,"]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    labels = read_labels(tmp_path / "labels.csv", TARGETS)
    assert labels["clip_id"].tolist() == ["00001", "00002"]
    assert labels["fear"].tolist() == [0, 1]


def test_rows_with_more_cells_than_columns_are_refused(tmp_path):
    lines = ["clip_id,split,joy,fear", "00001,Train,1,0,Rome, Italy", "00002,Val,0.25,1,Paris"]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    with pytest.raises(LabelError, match="more cells than its header has columns"):
        read_labels(tmp_path / "labels.csv", TARGETS)


def test_further_columns_are_kept(read):
    labels = read(table(country=["X", "Y", "Z"]))
    assert labels["country"].tolist() == ["X", "Y", "Z"]
    assert labels.columns.tolist() == [
        "clip_id",
        "path",
        "split",
        "group",
        "joy",
        "fear",
        "country",
    ]


def test_a_clip_without_a_group_is_a_person_of_its_own(read):
    labels = read(table(group=["p1", None, "p1"]))
    assert person_of(labels).tolist() == ["p1", "clip:00002", "p1"]


def test_a_blank_group_is_no_person_and_na_may_be_one(read):
    labels = read(table(group=[" ", "NA", ""], country=["NA", "X", "NA"]))
    assert person_of(labels).tolist() == ["clip:00001", "NA", "clip:00003"]
    assert labels["country"].tolist() == ["NA", "X", "NA"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"clip_id": ["a", "b", "a"]}, "2 of 3 rows have a clip_id that is not unique: a; a"),
        ({"clip_id": ["a", None, "c"]}, "1 of 3 rows have an empty clip_id"),
        ({"split": ["Train", "val", "Test"]}, "a split other than Train, Val, Test: 00002 = val"),
        ({"joy": [1.0, 1.5, None]}, r"a joy outside \[0, 1\]: 00002 = 1.5"),
        ({"fear": [-0.1, 1.0, None]}, r"a fear outside \[0, 1\]: 00001 = -0.1"),
        ({"joy": ["1", "high", ""]}, "a joy that is no number: 00002 = high"),
        ({"joy": [None] * 3, "fear": [None, 1.0, None]}, "no labelled clip with split Train"),
        ({"sha256": ["x", "y", "z"]}, r"has the column\(s\) \['sha256'\].*rename them"),
    ],
)
def test_what_cannot_be_used_is_named_with_examples(read, columns, message):
    with pytest.raises(LabelError, match=message):
        read(table(**columns))


@pytest.mark.parametrize("missing", ["clip_id", "split", "fear"])
def test_a_missing_column_is_named_with_its_nearest(read, missing):
    renamed = table().rename(columns={missing: f"{missing}s"})
    with pytest.raises(
        LabelError, match=rf"lacks the column\(s\) .*{missing}.*did you mean '{missing}s'"
    ):
        read(renamed)


def test_a_missing_file_says_which_parameter_names_it(tmp_path):
    with pytest.raises(LabelError, match=r"no label table .*set `data\.labels`"):
        read_labels(tmp_path / "labels.csv", TARGETS)


def test_a_file_that_is_no_table_is_said(tmp_path):
    (tmp_path / "x.parquet").write_text("no parquet")
    with pytest.raises(LabelError, match="cannot be read as Parquet"):
        read_labels(tmp_path / "x.parquet", TARGETS)
    (tmp_path / "x.csv").write_text("")
    with pytest.raises(LabelError, match="cannot be read as CSV"):
        read_labels(tmp_path / "x.csv", TARGETS)
