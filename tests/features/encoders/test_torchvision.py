from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file

from features.encoders import EncoderError, make_encoder
from features.encoders.weights import without_download
from tests.features.encoders.samples import embed, normalised, pictures

SMALL = "squeezenet1_0"


def spec(model: str, weights: str, **more: object) -> dict[str, object]:
    return {"kind": "torchvision", "model": model, "weights": weights, **more}


@pytest.fixture(scope="module")
def resnet18() -> torch.nn.Module:
    torch.manual_seed(3)
    return torchvision.models.resnet18(weights=None).eval()


def penultimate(model: torch.nn.Module, values: torch.Tensor) -> np.ndarray:
    with torch.inference_mode():
        return torch.nn.Sequential(*list(model.children())[:-1])(values).flatten(1).numpy()


def test_resnet50_gives_its_2048_penultimate_values():
    with without_download():
        assert make_encoder(spec("resnet50", "IMAGENET1K_V2")).dimension() == 2048


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_local_file_gives_the_penultimate_layer(resnet18, tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    state = resnet18.state_dict()
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    encoder = make_encoder(spec("resnet18", str(path)))
    batch = pictures(2, (64, 64))
    ours = embed(encoder, batch)
    expected = penultimate(resnet18, normalised(batch, encoder.preprocessing))
    assert ours == pytest.approx(expected, abs=1e-4 * float(np.abs(expected).max()))
    assert encoder.dimension() == ours.shape[1] == 512


def test_a_tag_is_taken_from_torch_s_local_cache(resnet18, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    url = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.url
    path = tmp_path / "hub" / "checkpoints" / Path(url).name
    encoder = make_encoder(spec("resnet18", "IMAGENET1K_V1"))
    with without_download(), pytest.raises(EncoderError, match="cannot be fetched.*downloaded yet"):
        encoder.weights_digest()
    path.parent.mkdir(parents=True)
    torch.save(resnet18.state_dict(), path)
    local = make_encoder(spec("resnet18", str(path), preprocessing_of="IMAGENET1K_V1"))
    with without_download():
        assert encoder.weights_digest() == local.weights_digest()
    batch = pictures(2, (64, 64))
    assert np.array_equal(embed(encoder, batch), embed(local, batch))


def test_preprocessing_is_that_of_the_tag():
    tags = torchvision.models.ResNet50_Weights
    for name in ("IMAGENET1K_V1", "IMAGENET1K_V2"):
        preset = tags[name].transforms()
        preprocessing = make_encoder(spec("resnet50", name)).preprocessing
        assert preprocessing.geometry.resize_px == tuple(preset.resize_size * 2)
        assert list(preprocessing.mean) == preset.mean


def test_an_unknown_model_or_tag_lists_the_known_ones():
    with pytest.raises(EncoderError, match="no classifier 'resnet5'.*resnet50"):
        make_encoder(spec("resnet5", "random")).weights_digest()
    with pytest.raises(EncoderError, match="unknown weights 'V3'.*IMAGENET1K_V2"):
        make_encoder(spec("resnet50", "V3")).weights_digest()


def test_a_file_of_another_architecture_is_refused(resnet18, tmp_path):
    path = tmp_path / "resnet18.pth"
    torch.save(resnet18.state_dict(), path)
    with pytest.raises(EncoderError, match=r"resnet18\.pth cannot be loaded into resnet34"):
        embed(make_encoder(spec("resnet34", str(path))), pictures(1))


def test_a_model_without_a_linear_layer_is_refused():
    with pytest.raises(EncoderError, match="no penultimate vector"):
        make_encoder(spec(SMALL, "random")).dimension()
