import os
import time
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.result_cache import keep_result, load_result, remove_unused_results

A, B, C, D, NEW = (name * 32 for name in "abcde")
ARRAYS = {"predictions": np.arange(6.0).reshape(3, 2), "fit_s": np.array(1.5)}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ERI_CACHE", str(tmp_path))
    return tmp_path / "results"


def age(path, hours):
    then_s = time.time() - 3600 * hours
    os.utime(path, (then_s, then_s))


def same(found):
    return all(np.array_equal(found[name], ARRAYS[name]) for name in ARRAYS)


def test_what_is_kept_is_found_also_where_only_others_may_write(folder, monkeypatch):
    assert load_result(A) is None
    keep_result(A, ARRAYS)
    monkeypatch.setattr(os, "utime", Mock(side_effect=PermissionError))
    assert same(load_result(A))
    assert [path.name for path in folder.iterdir()] == [f"{A}.npz"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_or_cut_file_is_never_taken_for_another_result(folder, data):
    keep_result(A, ARRAYS)
    content = bytearray((folder / f"{A}.npz").read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[place:]
    else:
        content[place] ^= data.draw(st.integers(1, 255))
    (folder / f"{A}.npz").write_bytes(content)
    found = load_result(A)
    assert found is None or same(found)  # a time in the archive counts for nothing


def test_the_least_recently_used_go_first(folder, monkeypatch):
    for hours, key in enumerate((A, B, C, D), start=2):
        keep_result(key, ARRAYS)
        age(folder / f"{key}.npz", hours)
    load_result(D)
    monkeypatch.setattr("pipeline.result_cache.MAX_BYTES", 3 * (folder / f"{A}.npz").stat().st_size)
    keep_result(NEW, ARRAYS)
    assert sorted(path.stem for path in folder.iterdir()) == [A, D, NEW]
    monkeypatch.setattr("pipeline.result_cache.MAX_BYTES", 1)
    keep_result(NEW, ARRAYS)
    assert sorted(path.stem for path in folder.iterdir()) == [D, NEW]  # used within the hour
    age(folder / f"{D}.npz", 49)
    size = (folder / f"{D}.npz").stat().st_size
    assert [remove_unused_results(for_days=2) for _ in range(2)] == [(1, size), (0, 0)]
    (folder / "metrics.json").touch()  # somebody keeps the cache where results of runs are
    assert remove_unused_results(for_days=0)[0] == 1
    assert [path.name for path in folder.iterdir()] == ["metrics.json"]
