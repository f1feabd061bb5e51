import numpy as np
import pytest

from features.store import StoreError
from features.store_writer import write_clip_vectors
from pipeline.views import join_tables, view_names


def test_views_are_each_encoder_and_all_joined():
    assert view_names(["a", "b", "c"]) == ["a", "b", "c", "a+b+c"]
    assert view_names(["a"]) == ["a"]


def test_a_view_joins_columns_and_marks_what_is_missing(tmp_path):
    for name, ids, value in (("a", ["x", "y"], 1), ("b", ["z", "x"], 2)):
        vectors = np.full((2, value), value, np.float32) + np.arange(2, dtype=np.float32)[:, None]
        write_clip_vectors(tmp_path / f"{name}.parquet", np.array(ids, object), vectors, {})
    tables = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    view = join_tables(tables, ["x", "y", "z"])
    expected = [[1, 3, 3], [2, np.nan, np.nan], [np.nan, 2, 2]]
    assert np.array_equal(view, np.array(expected, np.float32), equal_nan=True)
    assert np.array_equal(join_tables(tables[1:], ["z"]), [[2, 2]])


def test_a_missing_encoder_is_an_error(tmp_path):
    with pytest.raises(StoreError, match=r"nothing\.parquet"):
        join_tables([tmp_path / "nothing.parquet"], ["x"])
