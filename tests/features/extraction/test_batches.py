from itertools import accumulate

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from features.extraction.embedder import Batcher


class _Counting:
    """Stands for a model: the embedding of a picture is its only pixel."""

    def __init__(self, batch_size: int = 16, runs_beside: bool = False) -> None:
        self.batch_size = batch_size
        self.runs_beside = runs_beside
        self.sizes: list[int] = []

    def new_batch(self, piece_shape: tuple[int, ...]) -> np.ndarray:
        return np.empty((self.batch_size, *piece_shape), np.uint8)

    def submit(self, pictures: np.ndarray):
        self.sizes.append(len(pictures))
        rows = pictures.reshape(-1, 1).astype(np.float32)
        return lambda: rows


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
    sizes=st.lists(st.lists(st.integers(1, 40), max_size=3), max_size=8),
    runs_beside=st.booleans(),
)
def test_every_clip_gets_its_own_rows_whatever_the_batches(sizes, runs_beside):
    model = _Counting(runs_beside=runs_beside)
    done, batcher = kept(model)
    ends = list(accumulate((n for clip in sizes for n in clip), initial=0))
    starts = iter(ends)
    # Clips arrive in parts, two at a time between each other.
    for key, clip in enumerate(sizes):
        for n in clip:
            batcher.add(key, *numbered(next(starts), n))
    for key in range(len(sizes)):
        batcher.end(key)
    batcher.flush()
    assert list(done) == [key for key, clip in enumerate(sizes) if clip]
    rows = [rows for _, rows, _ in done.values()]
    expected = np.arange(ends[-1])
    assert np.concatenate([[], *(r.ravel() for r in rows)]).tolist() == (expected % 256).tolist()
    times = np.concatenate([[], *(time_s for time_s, _, _ in done.values())])
    assert times.tolist() == (expected / 8).tolist()
    assert all(size == model.batch_size for size in model.sizes[:-1])


def test_clips_between_each_other_do_not_mix():
    done, batcher = kept(_Counting(batch_size=4))
    for part in range(3):
        batcher.add("a", *numbered(10 * part, 3))
        batcher.add("b", *numbered(100 + 10 * part, 2))
    batcher.end("b")
    batcher.end("a")
    batcher.flush()
    assert done["a"][1].ravel().tolist() == [0, 1, 2, 10, 11, 12, 20, 21, 22]
    assert done["b"][1].ravel().tolist() == [100, 101, 110, 111, 120, 121]


def test_a_clip_is_handed_on_with_the_batch_that_completes_it():
    done, batcher = kept(_Counting(batch_size=4))
    batcher.add("a", *numbered(0, 3))
    batcher.end("a")
    assert done == {}
    batcher.add("b", *numbered(3, 1))
    assert list(done) == ["a"]


def test_a_clip_that_starts_again_leaves_nothing_of_the_first_time():
    done, batcher = kept(_Counting(batch_size=4))
    batcher.add("a", *numbered(50, 3))
    batcher.discard("a")
    batcher.add("a", *numbered(0, 2))
    batcher.end("a")
    batcher.flush()
    assert done["a"][1].ravel().tolist() == [0, 1]


def test_a_model_that_runs_beside_gets_the_next_batch_before_the_last_is_waited_for():
    order = []

    class Watched(_Counting):
        def submit(self, pictures):
            order.append("submit")
            wait = super().submit(pictures)
            return lambda: order.append("wait") or wait()

    _, batcher = kept(Watched(batch_size=2, runs_beside=True))
    batcher.add("a", *numbered(0, 6))
    batcher.flush()
    assert order == ["submit", "submit", "wait", "submit", "wait", "wait"]


def test_a_batch_size_that_shrinks_is_followed():
    class Shrinking(_Counting):
        def submit(self, pictures):
            self.batch_size = 4
            return super().submit(pictures)

    model = Shrinking(batch_size=16)
    done, batcher = kept(model)
    batcher.add("a", *numbered(0, 40))
    batcher.end("a")
    batcher.flush()
    assert model.sizes == [16, 4, 4, 4, 4, 4, 4]
    assert done["a"][1].ravel().tolist() == list(range(40))


def test_pieces_that_are_embeddings_already_wait_for_no_batch():
    done, batcher = kept(None)
    rows = np.arange(6, dtype=np.float32).reshape(3, 2)
    for part in (rows[:1], rows[1:]):
        batcher.add("a", np.arange(len(part), dtype=float), part)
    batcher.end("a", face_share=0.5)
    assert np.array_equal(done["a"][1], rows)
    assert done["a"][2] == 0.5
