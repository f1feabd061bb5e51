"""What every kind that a torch library builds promises, wherever its weights come from."""

import numpy as np
import pytest
import torch

from features.encoders import EncoderError, make_encoder
from features.encoders.weights import without_download
from tests.features.encoders.samples import close_to, embed, normalised, pictures


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_local_file_gives_the_library_s_own_embedding(kind, suffix, tmp_path):
    encoder = kind.encoder(kind.save(tmp_path / f"weights{suffix}"))
    batch = pictures(2, kind.size_px)
    ours = embed(encoder, batch)
    with torch.inference_mode():
        values = normalised(batch, encoder.picture_preprocessing())
        expected = kind.embedding(kind.network(), values).numpy()
    assert ours == close_to(expected)
    assert encoder.dimension() == ours.shape[1]


def test_a_tag_is_taken_from_the_library_s_local_cache(kind, tmp_path):
    tagged = kind.encoder(kind.tag)
    with without_download(), pytest.raises(EncoderError, match=r"cannot be fetched.*local file"):
        tagged.weights_digest()
    kind.put(kind.save(tmp_path / "cached.pth"))
    local = kind.encoder(kind.save(tmp_path / "local.pth"), preprocessing_of=kind.tag)
    assert tagged.picture_preprocessing() == local.picture_preprocessing()
    with without_download():
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
    ("library", "model", "tag", "dimension"),
    [
        ("open_clip", "ViT-B-32", "laion2b_s34b_b79k", 512),
        ("timm", "resnet50", "a1_in1k", 2048),
        ("timm", "convnext_tiny", "in12k_ft_in1k", 768),
        ("timm", "mobilenetv3_small_050", "lamb_in1k", 1024),
        ("torchvision", "resnet50", "IMAGENET1K_V2", 2048),
    ],
)
def test_the_dimension_is_found_without_weights(library, model, tag, dimension):
    with without_download():
        spec = {"kind": library, "model": model, "weights": tag}
        assert make_encoder(spec).dimension() == dimension
