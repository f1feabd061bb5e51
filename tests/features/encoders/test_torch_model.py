import numpy as np
import pytest
import torch

from features.encoders import make_encoder
from features.encoders.torch_model import TorchFrameModel
from features.preprocessing import Geometry, Preprocessing

CPU = torch.device("cpu")
PLAIN = Preprocessing(geometry=Geometry(size_px=(32, 32)), mean=(0, 0, 0), std=(1, 1, 1))


@pytest.fixture(scope="module")
def spec(tiny_clip) -> dict[str, object]:
    return {"kind": "open_clip", "model": tiny_clip, "weights": "random"}


@pytest.fixture(scope="module")
def model(spec) -> TorchFrameModel:
    return make_encoder(spec).load_model(CPU)


def pictures(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 3, 32, 32), dtype=np.uint8)


def test_embeddings_follow_the_library_s_preprocessing(model, spec):
    encoder = make_encoder(spec)
    mean, std = (
        torch.tensor(v).view(3, 1, 1)
        for v in (encoder.preprocessing.mean, encoder.preprocessing.std)
    )
    batch = (torch.from_numpy(pictures(3)).float() / 255 - mean) / std
    torch.manual_seed(0)
    network = encoder.build(None).eval()
    with torch.inference_mode():
        reference = network(batch).numpy()
    assert model.submit(pictures(3))() == pytest.approx(reference, abs=1e-5)


def test_an_embedding_does_not_depend_on_its_neighbours(model):
    batch = pictures(model.batch_size)
    together = model.submit(batch)()
    assert np.array_equal(model.submit(batch[:1])(), together[:1])
    assert np.array_equal(model.submit(batch[::-1].copy())()[::-1], together)


def test_pictures_may_be_overwritten_after_they_were_submitted(model):
    batch = pictures(model.batch_size)
    expected = model.submit(batch.copy())()
    wait = model.submit(batch)
    batch[:] = 0
    assert np.array_equal(wait(), expected)


def test_bf16_is_close_to_fp32_but_not_equal(model, spec):
    lower = make_encoder(spec | {"precision": "bf16"}).load_model(CPU).submit(pictures(4))()
    full = model.submit(pictures(4))()
    assert not np.array_equal(lower, full)
    assert np.corrcoef(lower.ravel(), full.ravel())[0, 1] > 0.99


def test_folding_batch_normalisation_changes_no_number_that_matters():
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, bias=False), torch.nn.BatchNorm2d(4), torch.nn.AdaptiveAvgPool2d(1)
    ).eval()
    network[1].running_mean.uniform_(-1, 1)
    network[1].running_var.uniform_(0.5, 2)
    with torch.inference_mode():
        reference = network(torch.from_numpy(pictures(2)).float() / 255).flatten(1).numpy()
    model = TorchFrameModel(network, PLAIN, "fp32", CPU)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in model._network.modules())
    assert model.submit(pictures(2))() == pytest.approx(reference, abs=1e-5)


def test_out_of_memory_halves_the_batch_and_goes_on():
    class Greedy(torch.nn.Module):
        def forward(self, batch):
            if len(batch) > 5:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return batch.mean(dim=(2, 3))

    model = TorchFrameModel(Greedy(), PLAIN, "fp32", CPU)
    assert model.batch_size == 8
    with pytest.warns(UserWarning, match="going on with 4 pictures per batch"):
        rows = model.submit(pictures(16))()
    assert model.batch_size == 4
    assert rows == pytest.approx(pictures(16).mean(axis=(2, 3)) / 255, abs=1e-5)


def test_out_of_memory_for_one_picture_is_an_error():
    class Hopeless(torch.nn.Module):
        def forward(self, batch):
            raise torch.OutOfMemoryError("CUDA out of memory")

    model = TorchFrameModel(Hopeless(), PLAIN, "fp32", CPU)
    with (
        pytest.warns(UserWarning, match="going on with 1 pictures"),
        pytest.raises(torch.OutOfMemoryError),
    ):
        model.submit(pictures(3))
