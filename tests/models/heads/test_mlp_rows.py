import numpy as np
import pytest
import torch

from models.heads.mlp_rows import Table, TrainingSet


@pytest.fixture
def table():
    nan = np.nan
    first = TrainingSet(
        np.full((2, 3), 1, np.float32),
        np.array([[1, nan], [2, 3]], np.float32),
        np.zeros((1, 2), np.bool_),
    )
    second = TrainingSet(
        np.full((3, 1), 2, np.float32), np.full((3, 2), 5, np.float32), np.zeros((1, 3), np.bool_)
    )
    return Table([first, second], torch.device("cpu"))


def test_sets_follow_each_other_and_are_filled_up(table):
    assert table.start.tolist() == [0, 2, 5]
    assert table.inputs[:, 0].tolist() == [1, 1, 2, 2, 2]
    assert table.inputs[2:, 1:].abs().sum() == 0
    assert table.known[0].tolist() == [1, 0]
    assert table.labels.isfinite().all()


def test_what_fills_up_a_batch_is_unknown(table):
    x, labels, known = table.batch([np.array([1]), np.array([4, 2, 3])])
    assert x.shape == (2, 3, 3)
    assert labels.shape == (2, 2, 3)
    assert known[0].tolist() == [[1, 0, 0], [1, 0, 0]]
    assert known[1].all()
    assert labels[0, :, 0].tolist() == [2, 3]


def test_no_rows_are_allowed(table):
    assert table.take(torch.zeros(0, dtype=torch.int64))[1].shape == (2, 0)
