"""What every kind that a torch library builds promises, wherever its weights come from."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import open_clip
import open_clip.pretrained
import pytest
import timm
import torch
import torchvision

from features.encoders import EncoderError, FrameEncoder, make_encoder
from features.encoders.weights import without_download
from tests.features.encoders.samples import embed, normalised, pictures, save, trained

SIZE = (160, 160)


class Kind(NamedTuple):
    """A small model of a kind, as its library has it."""

    kind: str
    model: str
    size_px: tuple[int, int]
    build: Callable[[], torch.nn.Module]
    embedding: Callable[[torch.nn.Module, torch.Tensor], torch.Tensor]
    tag: str
    put: Callable[[Path], object]
    """Put a file where the library keeps the weights of the tag."""
    body_key: str

    def encoder(self, weights: object, **more: object) -> FrameEncoder:
        spec = {"kind": self.kind, "model": self.model, "weights": str(weights), **more}
        return make_encoder(spec)

    def network(self) -> torch.nn.Module:
        return trained(self.build)

    def save(self, path: Path) -> Path:
        return save(self.network().state_dict(), path)


@pytest.fixture(params=["open_clip", "timm", "torchvision"])
def kind(request, tiny_clip, put_on_hub, tmp_path, monkeypatch) -> Kind:
    if request.param == "open_clip":
        cfg = open_clip.pretrained._pcfg(hf_hub="eri/tiny/", mean=(0.1,) * 3)
        monkeypatch.setitem(open_clip.pretrained._PRETRAINED, tiny_clip, {"tag": cfg})
        return Kind(
            *("open_clip", tiny_clip, (32, 32), lambda: open_clip.create_model(tiny_clip)),
            *(lambda network, values: network.encode_image(values), "tag"),
            lambda path: put_on_hub(path, "eri/tiny", "open_clip_pytorch_model.bin"),
            "visual.conv1.weight",
        )
    if request.param == "timm":
        model, tag = "test_resnet", "r160_in1k"
        return Kind(
            *("timm", model, SIZE, lambda: timm.create_model(model)),
            lambda n, values: n.forward_head(n.forward_features(values), pre_logits=True),
            tag,
            lambda path: put_on_hub(path, f"timm/{model}.{tag}", "pytorch_model.bin"),
            "layer1.0.conv1.weight",
        )
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    name = Path(torchvision.models.ResNet18_Weights.IMAGENET1K_V1.url).name
    cached = tmp_path / "hub" / "checkpoints" / name
    return Kind(
        *("torchvision", "resnet18", SIZE, lambda: torchvision.models.resnet18(weights=None)),
        lambda n, values: torch.nn.Sequential(*list(n.children())[:-1])(values).flatten(1),
        "IMAGENET1K_V1",
        lambda path: (cached.parent.mkdir(parents=True), path.rename(cached)),
        "layer1.0.conv1.weight",
    )


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_local_file_gives_the_library_s_own_embedding(kind, suffix, tmp_path):
    encoder = kind.encoder(kind.save(tmp_path / f"weights{suffix}"))
    batch = pictures(2, kind.size_px)
    ours = embed(encoder, batch)
    with torch.inference_mode():
        values = normalised(batch, encoder.picture_preprocessing())
        expected = kind.embedding(kind.network(), values).numpy()
    assert ours == pytest.approx(expected, abs=1e-4 * float(np.abs(expected).max()))
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


class Evil:
    def __reduce__(self):
        return os.mkdir, ("made",)


@pytest.mark.parametrize("what", ["another", "less", "broken", "evil"])
def test_a_file_that_does_not_fit_is_refused(kind, what, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.pth"
    state = kind.network().state_dict()
    if what == "another":
        save({"weight": torch.zeros(2)}, path)
    elif what == "less":
        del state[kind.body_key]
        save(state, path)
    elif what == "evil":
        save({"weight": Evil()}, path)
    else:
        path.write_bytes(b"no checkpoint")
    reason = kind.body_key if what == "less" else ""
    match = rf"weights\.pth cannot be loaded into {kind.model}.*{reason}.*`model:`"
    with pytest.raises(EncoderError, match=match):
        embed(kind.encoder(path), pictures(1, kind.size_px))
    assert not Path("made").exists()


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
