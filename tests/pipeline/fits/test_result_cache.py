import os
import time

import numpy as np
import pytest

from pipeline.fits.result_cache import ResultCache

ARRAYS = {"predictions": np.arange(6.0).reshape(3, 2), "fit_s": np.array(1.5)}


@pytest.fixture
def cache(tmp_path):
    return ResultCache(tmp_path / "results")


def age(path, hours):
    then_s = time.time() - 3600 * hours
    os.utime(path, (then_s, then_s))


def test_what_is_put_is_got(cache):
    assert cache.get("a") is None
    cache.put("a", ARRAYS)
    found = cache.get("a")
    assert set(found) == set(ARRAYS)
    assert all(np.array_equal(found[name], ARRAYS[name]) for name in ARRAYS)


def test_nothing_half_written_is_left(cache):
    cache.put("a", ARRAYS)
    assert [path.name for path in cache.folder.iterdir()] == ["a.npz"]


@pytest.mark.parametrize("place", [0, 40, 300, -1])
def test_a_damaged_file_counts_as_none(cache, place):
    cache.put("a", ARRAYS)
    path = cache.folder / "a.npz"
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert cache.get("a") is None


@pytest.mark.parametrize("n_bytes", [0, 10, 32, 200])
def test_a_cut_file_counts_as_none(cache, n_bytes):
    cache.put("a", ARRAYS)
    os.truncate(cache.folder / "a.npz", n_bytes)
    assert cache.get("a") is None


def test_the_least_recently_used_go_first(cache):
    for hours, key in enumerate("abcd", start=2):
        cache.put(key, ARRAYS)
        age(cache.folder / f"{key}.npz", hours)
    size = (cache.folder / "a.npz").stat().st_size
    cache.get("d")
    cache.prune(max_bytes=2 * size)
    assert sorted(path.stem for path in cache.folder.iterdir()) == ["a", "d"]


def test_a_cache_of_others_can_be_read(cache, monkeypatch):
    cache.put("a", ARRAYS)

    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "utime", refuse)
    assert cache.has("a")
    assert cache.get("a") is not None


def test_what_was_used_within_the_hour_stays(cache):
    cache.put("a", ARRAYS)
    cache.prune(max_bytes=0)
    assert cache.get("a") is not None
    ResultCache(cache.folder / "nowhere").prune(max_bytes=0)


def test_what_was_not_used_for_days_is_removed(cache):
    for key, hours in (("a", 49), ("b", 47)):
        cache.put(key, ARRAYS)
        age(cache.folder / f"{key}.npz", hours)
    size = (cache.folder / "a.npz").stat().st_size
    assert cache.remove_unused(for_days=2) == (1, size)
    assert [path.stem for path in cache.folder.iterdir()] == ["b"]
    assert cache.remove_unused(for_days=0) == (1, size)
    assert ResultCache(cache.folder / "nowhere").remove_unused(for_days=0) == (0, 0)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"file/results cannot be written.*ERI_CACHE"):
        ResultCache(tmp_path / "file" / "results").put("a", ARRAYS)
