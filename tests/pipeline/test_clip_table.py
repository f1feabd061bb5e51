import numpy as np
import pandas as pd
import pytest

from models.arrays import DataError
from pipeline.clip_table import (
    arrange_rows,
    build_clip_table,
    column_vectors,
    make_folds,
    people_across_splits,
    read_clip_table,
    read_rows,
)
from pipeline.labels import read_labels
from pipeline.params import ParamsError


def test_the_clip_table_joins_labels_and_files(make_clip, tmp_path, params):
    make_clip("media/a.mp4")
    labels = pd.DataFrame(
        {
            "clip_id": ["x", "gone"],
            "path": ["a.mp4", "b.mp4"],
            "split": ["Train", "Val"],
            "joy": [0.5, 1],
            "fear": [1, 0],
            "awe": [0, 0.2],
            "country": ["A", "B"],
        }
    )
    labels.to_csv(tmp_path / "labels.csv", index=False)
    data = params.data.model_copy(
        update={"labels": tmp_path / "labels.csv", "media": tmp_path / "media"}
    )
    table = build_clip_table(params.model_copy(update={"data": data}))
    assert table.columns.tolist() == [
        *("clip_id", "path", "split", "group", "sha256", "duration_s", "frame_rate_hz"),
        *("has_video", "has_audio", "error_step", "error_reason"),
        *("joy", "fear", "awe", "country"),
    ]
    assert table["error_step"].fillna("").tolist() == ["", "read"]
    assert table["path"][0] == (tmp_path / "media" / "a.mp4").as_posix()


def test_rows_put_train_first_and_keep_people_together(rows, clips):
    splits = rows.clips["split"].tolist()
    assert splits[: rows.n_train] == ["Train"] * rows.n_train
    assert "Train" not in splits[rows.n_train :]
    assert sorted(rows.clip_ids) == sorted(clips["clip_id"])
    folds = pd.DataFrame({"person": rows.people[: rows.n_train], "fold": rows.fold_of_row})
    assert len(folds.drop_duplicates()) == folds["person"].nunique()
    assert set(rows.fold_of_row) == {0, 1, 2}


def sliced_by(params, *columns):
    evaluation = params.evaluation.model_copy(update={"slices": columns})
    return params.model_copy(update={"evaluation": evaluation})


def test_a_slice_by_an_unknown_column_stops_the_first_stage(make_clip, tmp_path, params):
    make_clip("a.mp4")
    labels = {"clip_id": ["x"], "path": ["a.mp4"], "split": ["Train"], "country": ["A"]}
    pd.DataFrame(labels | dict.fromkeys(params.targets, 0.5)).to_csv(tmp_path / "l.csv")
    data = params.data.model_copy(update={"labels": tmp_path / "l.csv", "media": tmp_path})
    params = sliced_by(params, "country", "age").model_copy(update={"data": data})
    with pytest.raises(ParamsError, match=r"names \['age'\]: expected .*'country'"):
        build_clip_table(params)
    labels = read_labels(tmp_path / "l.csv", params.targets).assign(duration_s=1.0)
    with pytest.raises(ParamsError, match=r"names \['age'\].*'duration_s'"):
        arrange_rows(labels, labels[["clip_id"]], params)


def test_folds_are_of_train_and_keep_people_whole(clips, params):
    folds = make_folds(clips, params)
    assert folds.columns.tolist() == ["clip_id", "person", "fold"]
    assert folds["clip_id"].tolist() == clips["clip_id"].tolist()
    train = clips.assign(fold=folds["fold"])[clips["split"] == "Train"]
    assert set(folds["fold"][clips["split"] != "Train"]) == {-1}
    assert len(train[["group", "fold"]].drop_duplicates()) == train["group"].nunique()
    assert set(train["fold"]) == {0, 1, 2}


def test_folds_are_balanced_by_targets(clips, params):
    clips["split"], clips["group"] = "Train", None
    for target in params.targets:
        clips[target] = np.arange(40) / 40
    means = clips.merge(make_folds(clips, params), on="clip_id").groupby("fold")["joy"].mean()
    assert np.ptp(means) < 0.02


def test_folds_do_not_depend_on_the_order_of_the_table(clips, params, rows):
    mixed = clips.sample(frac=1, random_state=0)
    shuffled = arrange_rows(mixed, make_folds(mixed, params), params)
    fold = dict(zip(rows.clip_ids[: rows.n_train], rows.fold_of_row, strict=True))
    again = dict(zip(shuffled.clip_ids[: rows.n_train], shuffled.fold_of_row, strict=True))
    assert fold == again


def test_fewer_people_than_folds_is_an_error(clips, params):
    clips.loc[clips["split"] == "Train", "group"] = "one"
    with pytest.raises(DataError, match="Add clips of more people"):
        make_folds(clips, params)


def test_rows_have_the_saved_folds(clips, params, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    folds = make_folds(clips, params).sample(frac=1, random_state=1)
    folds["fold"] = folds["fold"].replace({0: 2, 2: 0})
    clips.to_parquet("data/clips.parquet")
    with pytest.raises(
        ParamsError, match=r"no table of people and .*folds\.parquet: run `dvc repro`"
    ):
        read_rows(params)
    folds.to_parquet("data/folds.parquet")
    rows = read_rows(params)
    saved = folds.set_index("clip_id")["fold"]
    assert rows.fold_of_row.dtype == np.int64
    assert rows.fold_of_row.tolist() == [saved[name] for name in rows.clip_ids[: rows.n_train]]


@pytest.mark.parametrize("wrong", ["fewer", "twice", "others"])
def test_folds_of_other_clips_are_refused(clips, params, wrong):
    folds = make_folds(clips, params)
    changed = {
        "fewer": folds[1:],
        "twice": pd.concat([folds, folds[:1]]),
        "others": folds.assign(clip_id="x" + folds["clip_id"]),
    }
    with pytest.raises(ParamsError, match=r"folds\.parquet is of other clips.*dvc repro"):
        arrange_rows(clips, changed[wrong], params)


def test_people_in_several_splits_are_found(clips):
    assert people_across_splits(clips) == []
    clips.loc[[0, 3], "group"] = "both"
    assert np.array_equal(people_across_splits(clips), ["both"])


def test_a_missing_clip_table_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParamsError, match="dvc repro"):
        read_clip_table()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_column_has_the_same_vectors_whatever_the_labels_are_kept_in(tmp_path, suffix):
    labels = pd.DataFrame(
        {
            "clip_id": list("abcd"),
            "split": "Train",
            "joy": 0.5,
            "age": [18, None, 45, 31.5],
            "adult": [True, False, True, True],
            "country": ["US", "SA", None, "US"],
        }
    )
    path = tmp_path / f"labels{suffix}"
    labels.to_csv(path, index=False) if suffix == ".csv" else labels.to_parquet(path)
    read = read_labels(path, ["joy"])
    assert column_vectors(read["age"]).dtype == np.float32
    np.testing.assert_array_equal(column_vectors(read["age"]), [[18], [np.nan], [45], [31.5]])
    assert column_vectors(read["adult"]).tolist() == [[0, 1], [1, 0], [0, 1], [0, 1]]
    assert column_vectors(read["country"]).tolist() == [[0, 1], [1, 0], [0, 0], [0, 1]]
