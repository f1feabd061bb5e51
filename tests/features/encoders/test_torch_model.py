import numpy as np
import pytest
import torch

from features.encoders import EncoderError, make_encoder
from features.encoders.pieces import Geometry, Preprocessing
from features.encoders.torch_model import TorchModel
from tests.features.encoders.samples import CPU, pictures

GPU = torch.device("cuda")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
DEVICES = [pytest.param(CPU, id="cpu"), pytest.param(GPU, id="gpu", marks=needs_gpu)]
PLAIN = Preprocessing(geometry=Geometry(size_px=(32, 32)), mean=(0, 0, 0), std=(1, 1, 1))


def means(batch):
    return batch.mean(dim=(2, 3))


@pytest.fixture(scope="module")
def spec(tiny_clip) -> dict[str, object]:
    return {"kind": "open_clip", "model": tiny_clip, "weights": "random"}


@pytest.fixture(scope="module", params=DEVICES)
def device(request) -> torch.device:
    return request.param


@pytest.fixture(scope="module")
def model(spec, device) -> TorchModel:
    return make_encoder(spec).load_model(device)


def test_an_embedding_does_not_depend_on_its_neighbours(model):
    batch = pictures(model.batch_size)
    together = model.submit(batch)()
    assert np.array_equal(model.submit(batch[:1])(), together[:1])
    assert np.array_equal(model.submit(batch[::-1].copy())()[::-1], together)
    waits = [model.submit(pictures(model.batch_size, seed=seed)) for seed in (0, 1, 0)]
    first, other, again = (wait() for wait in waits)
    assert np.array_equal(first, together)
    assert np.array_equal(again, together)
    assert not np.array_equal(other, together)


def test_bf16_is_close_to_fp32_but_not_equal(model, spec, device):
    lower = make_encoder(spec | {"precision": "bf16"}).load_model(device).submit(pictures(4))()
    full = model.submit(pictures(4))()
    assert not np.array_equal(lower, full)
    assert np.corrcoef(lower.ravel(), full.ravel())[0, 1] > 0.99


def test_folding_batch_normalisation_changes_no_number_that_matters():
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, bias=False), torch.nn.BatchNorm2d(4), torch.nn.Flatten()
    ).eval()
    network[1].running_mean.uniform_(-1, 1)
    network[1].running_var.uniform_(0.5, 2)
    with torch.inference_mode():
        reference = network(torch.from_numpy(pictures(2)).float() / 255).numpy()
    model = TorchModel(network, "fp32", CPU, preprocessing=PLAIN)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in model.network.modules())
    assert model.submit(pictures(2))() == pytest.approx(reference, abs=1e-5)


def test_out_of_memory_halves_the_batch_and_goes_on():
    n_most = 5

    def greedy(batch):
        if len(batch) > n_most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return means(batch)

    model = TorchModel(greedy, "fp32", CPU, preprocessing=PLAIN)
    assert model.batch_size == 8
    with pytest.warns(UserWarning, match="going on with 4 pieces per batch"):
        rows = model.submit(pictures(16))()
    assert model.batch_size == 4
    assert rows == pytest.approx(pictures(16).mean(axis=(2, 3)) / 255, abs=1e-5)
    n_most = 0
    with (
        pytest.warns(UserWarning, match="going on with 1 pieces"),
        pytest.raises(torch.OutOfMemoryError),
    ):
        model.submit(pictures(3))


@needs_gpu
def test_a_gpu_out_of_memory_halves_the_batch_and_goes_on():
    def large(batch):
        gigabytes = torch.empty(len(batch), 1 << 30, dtype=torch.uint8, device=batch.device)
        return means(batch) + 0 * gigabytes[:, :1].float()

    model = TorchModel(large, "fp32", GPU, preprocessing=PLAIN)
    with pytest.warns(UserWarning, match="out of memory on cuda"):
        rows = model.submit(pictures(256))()
    assert 1 <= model.batch_size < 256
    assert rows == pytest.approx(pictures(256).mean(axis=(2, 3)) / 255, abs=1e-5)


def test_within_a_pass_fp32_keeps_all_its_digits_whatever_the_caller_allows():
    def precisions():
        return torch.backends.cuda.matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision

    def watching(batch):
        seen.append(precisions())
        return means(batch)

    seen, before = [], precisions()
    TorchModel(watching, "fp32", CPU, preprocessing=PLAIN).submit(pictures(1))
    assert seen == [("ieee", "ieee")]
    assert precisions() == before
    assert before[1] != "ieee"


def test_of_several_outputs_the_first_counts_and_is_one_vector_per_picture():
    def embed(network):
        return TorchModel(network, "fp32", CPU, preprocessing=PLAIN).submit(pictures(2))()

    assert embed(lambda batch: (means(batch), batch.flatten(2))).shape == (2, 3)
    with pytest.raises(EncoderError, match="no pooled vector per picture"):
        embed(lambda batch: batch.flatten(2))
