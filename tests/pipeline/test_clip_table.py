import numpy as np
import pandas as pd
import pytest

from models.arrays import DataError
from pipeline.clip_table import (
    arrange_rows,
    build_clip_table,
    people_across_splits,
    read_clip_table,
)
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


def test_folds_do_not_depend_on_the_order_of_the_table(clips, params, rows):
    shuffled = arrange_rows(clips.sample(frac=1, random_state=0), params)
    fold = dict(zip(rows.clip_ids[: rows.n_train], rows.fold_of_row, strict=True))
    again = dict(zip(shuffled.clip_ids[: rows.n_train], shuffled.fold_of_row, strict=True))
    assert fold == again


def test_fewer_people_than_folds_is_an_error(clips, params):
    clips.loc[clips["split"] == "Train", "group"] = "one"
    with pytest.raises(DataError, match="Set n_folds to at most 1"):
        arrange_rows(clips, params)


def test_people_in_several_splits_are_found(clips):
    assert people_across_splits(clips) == []
    clips.loc[[0, 3], "group"] = "both"
    assert np.array_equal(people_across_splits(clips), ["both"])


def test_a_missing_clip_table_says_what_to_do(tmp_path):
    with pytest.raises(ParamsError, match="dvc repro"):
        read_clip_table(tmp_path / "clips.parquet")
