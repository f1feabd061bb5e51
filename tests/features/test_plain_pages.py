import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import plain_pages
from features.arrow import embedding_array
from features.plain_pages import read_matrix_into

ONE_PAGE = {"use_dictionary": False, "compression": "none", "data_page_size": 2**30}


def write(folder, matrix, **settings):
    embedding = embedding_array(matrix)
    field = pa.field("embedding", embedding.type, nullable=False)
    table = pa.table({"before": pa.array([[1, 2]] * len(matrix)), "name": ["x"] * len(matrix)})
    table = table.append_column(field, embedding).append_column(
        "after", pa.array([1] * len(matrix))
    )
    path = folder / "matrix.parquet"
    pq.write_table(table, path, **settings)
    return path


def read(path) -> np.ndarray:
    file = pq.ParquetFile(path)
    item = file.schema_arrow.field("embedding").type
    shape = (file.metadata.num_rows, item.list_size)
    out = np.full(shape, np.nan, item.value_type.to_pandas_dtype())
    read_matrix_into(out, path, file, "embedding")
    return out


@settings(max_examples=60, deadline=None)
@given(
    n_rows=st.integers(1, 3000),
    dimension=st.integers(1, 40),
    dtype=st.sampled_from(["float16", "float32"]),
    row_group_size=st.sampled_from([1, 7, 500, 10_000]),
    options=st.sampled_from(
        [
            ONE_PAGE,
            ONE_PAGE | {"data_page_version": "2.0"},
            ONE_PAGE | {"data_page_size": 100, "write_batch_size": 10},
            ONE_PAGE | {"compression": "snappy"},
            {"compression": "none"},
            {},
        ]
    ),
)
def test_a_matrix_is_read_back_however_it_was_written(
    tmp_path_factory, n_rows, dimension, dtype, row_group_size, options
):
    row_group_size = max(row_group_size, n_rows // 50)
    matrix = np.random.default_rng(n_rows).normal(size=(n_rows, dimension)).astype(dtype)
    folder = tmp_path_factory.mktemp("pages")
    path = write(folder, matrix, row_group_size=row_group_size, **options)
    assert np.array_equal(read(path), matrix)


def test_a_page_of_plain_values_is_read_without_decoding(tmp_path, monkeypatch):
    def never(*_):
        raise AssertionError("a plain page must be read as it is")

    monkeypatch.setattr(plain_pages, "embedding_matrix", never)
    matrix = np.random.default_rng(0).normal(size=(2000, 64)).astype("float16")
    path = write(tmp_path, matrix, write_batch_size=2000, **ONE_PAGE)
    assert np.array_equal(read(path), matrix)


def test_several_pages_are_not_taken_for_one(tmp_path, monkeypatch):
    decoded = []
    real = plain_pages.embedding_matrix
    monkeypatch.setattr(plain_pages, "embedding_matrix", lambda c: decoded.append(1) or real(c))
    matrix = np.random.default_rng(0).normal(size=(2000, 64)).astype("float32")
    path = write(tmp_path, matrix, **ONE_PAGE | {"data_page_size": 1000, "write_batch_size": 100})
    assert np.array_equal(read(path), matrix)
    assert decoded


def test_a_file_cut_short_is_an_error(tmp_path):
    matrix = np.ones((10, 3), "float32")
    path = write(tmp_path, matrix, **ONE_PAGE)
    file = pq.ParquetFile(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(OSError, match="ends in the middle|too short"):
        read_matrix_into(np.empty((10, 3), "float32"), path, file, "embedding")
