import numpy as np
import pandas as pd
import pytest

from pipeline.clip_table import (
    arrange_rows,
    build_clip_table,
    column_vectors,
    make_folds,
    person_of,
    read_labels,
    read_rows,
)
from pipeline.findings import RefusedError
from pipeline.params import ParamsError

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


FORMS = {"csv": {}, "mark": {"encoding": "utf-8-sig"}, "parquet": {"suffix": ".parquet"}}


@pytest.mark.parametrize("form", FORMS)
def test_ids_stay_text_blanks_are_missing_and_further_columns_are_kept(read, form):
    labels = read({"country": ["NA", "X", "NA"]}, **FORMS[form])
    first = ["clip_id", "path", "split", "group", "joy", "fear"]
    assert labels.columns.tolist() == [*first, "country"]
    assert labels["clip_id"].tolist() == ["00001", "00002", "00003"]
    assert labels["joy"].isna().tolist() == [False, False, True]
    assert labels["path"].isna().tolist() == [False, True, True]
    assert labels["country"].tolist() == ["NA", "X", "NA"]
    assert labels["group"].isna().all()
    people = person_of(read({"group": [" ", "NA", "p1"]}))
    assert people.tolist() == ["clip:00001", "NA", "p1"]  # NA may be one


def test_without_paths_no_clip_has_media_and_rows_may_end_in_a_separator(read):
    labels = read("clip_id;split;joy;fear\n00001;Train;1;0,0;\n00002;Val;0,25;1;")
    assert labels["path"].isna().all()
    assert labels["clip_id"].tolist() == ["00001", "00002"]
    assert labels[["joy", "fear"]].to_numpy().tolist() == [[1, 0], [0.25, 1]]


UNUSABLE = {
    "2 of 3 rows with a clip_id that is not unique: a; a": {"clip_id": ["a", "b", "a"]},
    "1 of 3 rows with an empty clip_id": {"clip_id": ["a", None, "c"]},
    "a split other than Train, Val, Test: 00002 = val": {"split": ["Train", "val", "Test"]},
    r"a joy outside \[0, 1\]: 00002 = 1.5": {"joy": [1.0, 1.5, None]},
    r"a fear outside \[0, 1\]: 00001 = -0.1": {"fear": [-0.1, 1.0, None]},
    "a joy that is no number: 00002 = high": {"joy": ["1", "high", ""]},
    "no clip with split Train that is labelled for 'joy': label": {"joy": [None] * 3},
    r"has the column\(s\) \['sha256'\].*rename them": {"sha256": ["x", "y", "z"]},
    "no one column 'joy'; did you mean 'joys'": "clip_id,split,joys,fear\n1,Train,1,1",
    "line 2 has 6 cells, the header 4": "clip_id,split,joy,fear\na,Train,1,0,Rome, Italy",
    "nothing in it": "",
}


@pytest.mark.parametrize("message", UNUSABLE)
def test_what_cannot_be_used_is_named_with_examples(read, tmp_path, message):
    with pytest.raises(RefusedError, match=message):
        read(UNUSABLE[message])
    with pytest.raises(RefusedError, match=r"gone.csv is not there: set `data\.labels`"):
        read_labels(tmp_path / "gone.csv", ["joy"])


def test_the_clip_table_joins_labels_and_files(make_clip, tmp_path, params):
    make_clip("a.mp4")
    labels = {"clip_id": ["x", "gone"], "path": ["a.mp4", "b.mp4"], "split": ["Train", "Val"]}
    labels = pd.DataFrame(labels | {"country": ["A", "B"]}).assign(joy=0.5, fear=1, awe=0)
    labels.to_csv(tmp_path / "labels.csv", index=False)
    data = params.data.model_copy(update={"labels": tmp_path / "labels.csv", "media": tmp_path})
    params = params.model_copy(update={"data": data})
    table = build_clip_table(params)
    assert table.columns.tolist() == [
        *("clip_id", "path", "split", "group", "sha256", "duration_s", "frame_rate_hz"),
        *("has_video", "has_audio", "error_step", "error_reason"),
        *("joy", "fear", "awe", "country"),
    ]
    assert table["error_step"].fillna("").tolist() == ["", "read"]
    assert table["path"][0] == (tmp_path / "a.mp4").as_posix()
    sliced = params.evaluation.model_copy(update={"slices": ("country", "age")})
    unknown = params.model_copy(update={"evaluation": sliced})
    with pytest.raises(ParamsError, match=r"names \['age'\]: expected .*'country'"):
        build_clip_table(unknown)
    with pytest.raises(ParamsError, match=r"names \['age'\].*'duration_s'"):
        arrange_rows(table, table, unknown)


def test_rows_put_train_first_and_folds_keep_people_whole(clips, rows, params):
    splits = rows.clips["split"].tolist()
    assert splits[: rows.n_train] == ["Train"] * rows.n_train
    assert "Train" not in splits[rows.n_train :]
    folds = make_folds(clips, params).set_index("clip_id")
    assert folds.columns.tolist() == ["person", "fold"]
    assert folds.index.tolist() == clips["clip_id"].tolist()
    assert set(folds["fold"][(clips["split"] != "Train").to_numpy()]) == {-1}
    of_train = folds.loc[rows.clip_ids[: rows.n_train]]
    assert rows.fold_of_row.tolist() == of_train["fold"].tolist()
    assert rows.people.tolist() == folds.loc[rows.clip_ids, "person"].tolist()
    assert len(of_train.drop_duplicates()) == of_train["person"].nunique()
    assert set(of_train["fold"]) == {0, 1, 2}


def test_the_saved_folds_are_taken_whatever_their_order(project, params):
    folds = make_folds(project.clips, params).sample(frac=1, random_state=1)
    folds["fold"] = folds["fold"].replace({0: 2, 2: 0})
    path = project.folder / "data/folds.parquet"
    folds.to_parquet(path)
    rows = read_rows(params)
    saved = folds.set_index("clip_id")["fold"]
    assert rows.fold_of_row.dtype == np.int64
    assert rows.fold_of_row.tolist() == saved[rows.clip_ids[: rows.n_train]].tolist()
    for wrong in (folds[1:], pd.concat([folds, folds[:1]]), folds.assign(clip_id=folds.index)):
        with pytest.raises(ParamsError, match=r"folds\.parquet is of other clips.*dvc repro"):
            arrange_rows(project.clips, wrong, params)
    with pytest.raises(ParamsError, match="is of other targets, without .*: run `dvc repro`"):
        arrange_rows(project.clips.drop(columns=params.targets[0]), folds, params)
    path.unlink()
    with pytest.raises(ParamsError, match=r"no table of people and .*folds\.parquet: run `dvc rep"):
        read_rows(params)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_column_has_the_same_vectors_whatever_the_labels_are_kept_in(tmp_path, suffix):
    labels = pd.DataFrame({"clip_id": list("abcd"), "split": "Train", "joy": 0.5})
    labels["age"], labels["adult"] = [18, None, 45, 31.5], [True, False, True, True]
    labels["country"] = ["US", "SA", None, "US"]
    path = tmp_path / f"labels{suffix}"
    labels.to_csv(path, index=False) if suffix == ".csv" else labels.to_parquet(path)
    read = read_labels(path, ["joy"])
    assert column_vectors(read["age"]).dtype == np.float32
    np.testing.assert_array_equal(column_vectors(read["age"]), [[18], [np.nan], [45], [31.5]])
    assert column_vectors(read["adult"]).tolist() == [[0, 1], [1, 0], [0, 1], [0, 1]]
    assert column_vectors(read["country"]).tolist() == [[0, 1], [1, 0], [0, 0], [0, 1]]
