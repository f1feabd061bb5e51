import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.extraction.batches import Batcher
from features.media.faces import FaceRows


class _Pixels:
    """Stands for a model: the embedding of a picture is its only pixel."""

    def __init__(self, batch_size: int = 16, runs_beside: bool = False, shrinks_to: int = 0):
        self.batch_size, self.runs_beside, self._shrinks_to = batch_size, runs_beside, shrinks_to
        self.sizes: list[int] = []
        self.order: list[str] = []

    def new_batch(self, piece_shape: tuple[int, ...]) -> np.ndarray:
        return np.empty((self.batch_size, *piece_shape), np.uint8)

    def submit(self, pictures: np.ndarray):
        self.batch_size = self._shrinks_to or self.batch_size
        self.sizes.append(len(pictures))
        self.order.append("submit")
        rows = pictures.reshape(-1, 1).astype(np.float32)
        return lambda: self.order.append("wait") or rows


def numbered(first: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    values = np.arange(first, first + n)
    return values / 8, (values % 256).astype(np.uint8).reshape(-1, 1, 1, 1)


def kept(model) -> tuple[dict, Batcher]:
    done: dict = {}
    return done, Batcher(
        model, lambda key, time_s, rows, share: done.update({key: (time_s, rows, share)})
    )


@settings(max_examples=50, deadline=None)
@given(
    events=st.lists(
        st.tuples(st.integers(0, 2), st.just("begins again") | st.integers(1, 40)), max_size=24
    ),
    runs_beside=st.booleans(),
    shrinks_to=st.sampled_from([0, 5]),
)
def test_every_clip_gets_its_own_rows_whatever_the_batches(events, runs_beside, shrinks_to):
    """Clips come in parts between each other, and some begin again."""
    model = _Pixels(16, runs_beside, shrinks_to)
    done, batcher = kept(model)
    expected: dict[int, list[int]] = {}
    first = 0
    for key, n in events:
        if n == "begins again":
            expected.pop(key, None)
            batcher.discard(key)
            continue
        batcher.add(key, *numbered(first, n))
        expected.setdefault(key, []).extend(range(first, first + n))
        first += n
    for key in expected:
        batcher.end(key, FaceRows(key / 8))
    batcher.flush()
    assert set(done) == set(expected)
    for key, values in expected.items():
        time_s, rows, share = done[key]
        assert rows.ravel().tolist() == [value % 256 for value in values]
        assert time_s.tolist() == [value / 8 for value in values]
        assert share == FaceRows(key / 8)
    assert all(size == (shrinks_to or 16) for size in model.sizes[1:-1])


@pytest.mark.parametrize(
    ("runs_beside", "order"),
    [
        (True, ["submit", "submit", "wait", "submit", "wait", "wait"]),
        (False, ["submit", "wait"] * 3),
    ],
)
def test_a_model_that_runs_beside_gets_the_next_batch_before_the_last_is_waited_for(
    runs_beside, order
):
    model = _Pixels(2, runs_beside)
    _, batcher = kept(model)
    batcher.add("a", *numbered(0, 6))
    batcher.flush()
    assert model.order == order
