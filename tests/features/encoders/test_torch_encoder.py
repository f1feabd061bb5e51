"""What every kind that a torch library builds promises; what files it takes: `test_checkpoint`."""

import numpy as np
import pytest
import torch
import torchvision

from features.encoders import EncoderError, make_encoder
from tests.features.encoders.samples import embed, pictures


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
    with pytest.raises(EncoderError, match=f"unknown weights 'none'.*'{kind.tag}'.*'random'"):
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
