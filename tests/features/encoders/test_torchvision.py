from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from features.encoders import EncoderError, make_encoder

SMALL = "squeezenet1_0"


def spec(model: str, weights: str) -> dict[str, object]:
    return {"kind": "torchvision", "model": model, "weights": weights}


@pytest.fixture(scope="module")
def resnet18() -> torch.nn.Module:
    torch.manual_seed(3)
    return torchvision.models.resnet18(weights=None).eval()


def penultimate(model: torch.nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    return torch.nn.Sequential(*list(model.children())[:-1])(pictures).flatten(1)


def test_resnet50_gives_its_2048_penultimate_values():
    model = make_encoder(spec("resnet50", "random")).load_model()
    assert model(torch.rand(1, 3, 64, 64)).shape == (1, 2048)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_local_file_gives_the_penultimate_layer(resnet18, tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    state = resnet18.state_dict()
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    pictures = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        ours = make_encoder(spec("resnet18", str(path))).load_model()(pictures)
        assert torch.equal(ours, penultimate(resnet18, pictures))


def test_a_tag_is_taken_from_torch_s_local_cache(resnet18, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    url = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.url
    path = tmp_path / "hub" / "checkpoints" / Path(url).name
    path.parent.mkdir(parents=True)
    torch.save(resnet18.state_dict(), path)
    encoder = make_encoder(spec("resnet18", "IMAGENET1K_V1"))
    loaded = encoder.load_model().state_dict()
    assert torch.equal(loaded["conv1.weight"], resnet18.state_dict()["conv1.weight"])


def test_preprocessing_is_that_of_the_tag():
    tags = torchvision.models.ResNet50_Weights
    for name in ("IMAGENET1K_V1", "IMAGENET1K_V2"):
        preset = tags[name].transforms()
        preprocessing = make_encoder(spec("resnet50", name)).preprocessing
        assert [preprocessing.geometry.resize_px] == preset.resize_size
        assert list(preprocessing.mean) == preset.mean


def test_an_unknown_model_or_tag_lists_the_known_ones():
    with pytest.raises(EncoderError, match="no classifier 'resnet5'.*resnet50"):
        make_encoder(spec("resnet5", "random")).weights_digest()
    with pytest.raises(EncoderError, match="unknown weights 'V3'.*IMAGENET1K_V2"):
        make_encoder(spec("resnet50", "V3")).weights_digest()


def test_a_file_of_another_architecture_is_refused(resnet18, tmp_path):
    path = tmp_path / "resnet18.pth"
    torch.save(resnet18.state_dict(), path)
    with pytest.raises(EncoderError, match=r"resnet18\.pth does not fit resnet34"):
        make_encoder(spec("resnet34", str(path))).load_model()


def test_a_model_without_a_linear_layer_is_refused():
    with pytest.raises(EncoderError, match="no penultimate vector"):
        make_encoder(spec(SMALL, "random")).load_model()
