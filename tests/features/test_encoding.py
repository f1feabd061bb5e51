from itertools import accumulate

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from features.encoders import make_encoder
from features.encoding import Batcher, FrameModel


@pytest.fixture(scope="module")
def model(tiny_clip) -> FrameModel:
    encoder = make_encoder({"kind": "open_clip", "model": tiny_clip, "weights": "random"})
    return FrameModel(encoder, torch.device("cpu"))


def pictures(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 3, 32, 32), dtype=np.uint8)


def test_embeddings_follow_the_library_s_preprocessing(model, tiny_clip):
    encoder = make_encoder({"kind": "open_clip", "model": tiny_clip, "weights": "random"})
    mean, std = (
        torch.tensor(v).view(3, 1, 1)
        for v in (encoder.preprocessing.mean, encoder.preprocessing.std)
    )
    batch = (torch.from_numpy(pictures(3)).float() / 255 - mean) / std
    with torch.inference_mode():
        reference = encoder.load_model()(batch).numpy()
    assert model.embed(pictures(3)) == pytest.approx(reference, abs=1e-5)


def test_an_embedding_does_not_depend_on_its_neighbours(model):
    batch = pictures(model.batch_size)
    together = model.embed(batch)
    assert np.array_equal(model.embed(batch[:1]), together[:1])
    assert np.array_equal(model.embed(batch[::-1])[::-1], together)


def test_bf16_is_close_to_fp32_but_not_equal(model, tiny_clip):
    spec = {"kind": "open_clip", "model": tiny_clip, "weights": "random", "precision": "bf16"}
    lower = FrameModel(make_encoder(spec), torch.device("cpu")).embed(pictures(4))
    full = model.embed(pictures(4))
    assert not np.array_equal(lower, full)
    assert np.corrcoef(lower.ravel(), full.ravel())[0, 1] > 0.99


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(1, 40), max_size=12))
def test_every_clip_gets_its_own_rows_whatever_the_batches(sizes):
    model = _Counting()
    batcher: Batcher[int] = Batcher(model)
    done = []
    for index, (size, end) in enumerate(zip(sizes, accumulate(sizes), strict=True)):
        numbers = np.arange(end - size, end)
        done += batcher.add(index, numbers.reshape(-1, 1, 1, 1))
    done += batcher.flush()
    assert [key for key, _ in done] == list(range(len(sizes)))
    assert np.concatenate([rows for _, rows in done] or [[]]).ravel().tolist() == list(
        range(sum(sizes))
    )
    assert all(size == model.batch_size for size in model.sizes[:-1])


class _Counting:
    """Stands for a model: the embedding of a picture is its only pixel."""

    batch_size = 16

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def embed(self, batch: np.ndarray) -> np.ndarray:
        self.sizes.append(len(batch))
        return batch.reshape(-1, 1).astype(np.float32)
