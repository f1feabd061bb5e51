import numpy as np
import pandas as pd
import pytest

from pipeline.clip_table import (
    arrange_rows,
    build_clip_table,
    column_vectors,
    make_folds,
    read_rows,
)
from pipeline.labels import read_labels
from pipeline.params import ParamsError


def changed(params, section, **values):
    made = getattr(params, section).model_copy(update=values)
    return params.model_copy(update={section: made})


def test_the_clip_table_joins_labels_and_files(make_clip, tmp_path, params):
    make_clip("a.mp4")
    labels = {"clip_id": ["x", "gone"], "path": ["a.mp4", "b.mp4"], "split": ["Train", "Val"]}
    labels = pd.DataFrame(labels | {"country": ["A", "B"]}).assign(joy=0.5, fear=1, awe=0)
    labels.to_csv(tmp_path / "labels.csv", index=False)
    params = changed(params, "data", labels=tmp_path / "labels.csv", media=tmp_path)
    table = build_clip_table(params)
    assert table.columns.tolist() == [
        *("clip_id", "path", "split", "group", "sha256", "duration_s", "frame_rate_hz"),
        *("has_video", "has_audio", "error_step", "error_reason"),
        *("joy", "fear", "awe", "country"),
    ]
    assert table["error_step"].fillna("").tolist() == ["", "read"]
    assert table["path"][0] == (tmp_path / "a.mp4").as_posix()
    unknown = changed(params, "evaluation", slices=("country", "age"))
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
