import sys

import numpy as np
import pytest

from models import device
from models.device import fetch, gpu, like, put


@pytest.fixture
def with_gpu(monkeypatch):
    monkeypatch.setattr(device, "_gpu", lambda: "cuda")


def test_small_work_stays_on_the_processors(with_gpu):
    assert gpu(2 * 500 * 3000 * 500) is None
    assert gpu(2 * 15_806 * 5_208**2) == "cuda"


def test_many_small_steps_stay_on_the_processors(with_gpu):
    assert gpu(1e8 * 10_000, n_steps=10_000) is None
    assert gpu(1e10 * 10_000, n_steps=10_000) == "cuda"


def test_without_a_driver_torch_is_not_imported_to_look_for_a_gpu(monkeypatch):
    monkeypatch.setattr(device.Path, "exists", lambda _: False)
    monkeypatch.setitem(sys.modules, "torch", None)  # an import would fail
    device._gpu.cache_clear()
    try:
        assert gpu(1e15) is None
    finally:
        device._gpu.cache_clear()


def test_arrays_go_to_torch_and_back():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert put(array, None) is array
    assert fetch(array) is array
    assert np.array_equal(fetch(put(array, "cpu")), array)


@pytest.mark.parametrize("device", [None, "cpu"])
def test_values_become_like_others_however_they_lie_in_memory(device):
    other = put(np.zeros(1, np.float32), device)
    values = np.arange(6.0).reshape(2, 3)
    for each in (values, values[::-1, ::-1], values.T, np.array(2.0)):
        made = like(each, other)
        assert type(made) is type(other)
        assert made.dtype == other.dtype
        assert np.array_equal(fetch(made), each)
    assert np.array_equal(fetch(like(like(values, other), other)), values)
