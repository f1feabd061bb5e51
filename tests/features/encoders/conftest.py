"""A Hugging Face hub without a network, and a small model of each kind that runs on torch."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import huggingface_hub.constants
import open_clip
import open_clip.pretrained
import pytest
import timm
import torch
import torchvision

from features.encoders import FrameEncoder, make_encoder
from tests.features.encoders.samples import save, trained


@pytest.fixture
def offline(monkeypatch) -> None:
    """Nothing is fetched: what is not on this machine cannot be had."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def put_on_hub(tmp_path, monkeypatch, offline) -> Callable[[Path, str, str], Path]:
    """Copy a file into the cache as ``owner/repo`` and a name; nothing else can be had."""
    cache = tmp_path / "hub"
    cache.mkdir()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    revision = "0" * 40

    def put(file: Path, repository: str, name: str) -> Path:
        folder = cache / f"models--{repository.replace('/', '--')}"
        target = folder / "snapshots" / revision / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / "main").write_text(revision)
        return target

    return put


_SIZE = (160, 160)


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
            *("timm", model, _SIZE, lambda: timm.create_model(model)),
            lambda n, values: n.forward_head(n.forward_features(values), pre_logits=True),
            tag,
            lambda path: put_on_hub(path, f"timm/{model}.{tag}", "pytorch_model.bin"),
            "layer1.0.conv1.weight",
        )
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    model = "shufflenet_v2_x0_5"
    name = Path(torchvision.models.ShuffleNet_V2_X0_5_Weights.IMAGENET1K_V1.url).name
    cached = tmp_path / "hub" / "checkpoints" / name
    return Kind(
        *("torchvision", model, (64, 64), lambda: torchvision.models.get_model(model)),
        lambda n, values: (n.set_submodule("fc", torch.nn.Identity()), n(values))[1],
        "IMAGENET1K_V1",
        lambda path: (cached.parent.mkdir(parents=True), path.rename(cached)),
        "conv1.0.weight",
    )
