"""Classification networks of torchvision, up to their penultimate layer."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.encoders.base import EncoderError, FrameEncoder
from features.encoders.weights import RANDOM, file_digest, foreign_weights, seeded, weights_file
from features.preprocessing import Geometry, Preprocessing

if TYPE_CHECKING:
    import torch


class TorchvisionEncoder(FrameEncoder):
    """The input of the last linear layer; 2048 wide for ResNet50.

    Source: torchvision; `model` and the tags in `weights` are those of
    ``torchvision.models.get_model_weights``, for example ``resnet50`` with ``IMAGENET1K_V2``.
    """

    @cached_property
    def preprocessing(self) -> Preprocessing:
        """The tag's own preprocessing; that of the model's default tag for a file or random."""
        tags = self._tags
        tag = tags[self.spec.weights] if self.spec.weights in tags.__members__ else tags.DEFAULT
        preset = tag.transforms()
        (crop_px,), (resize_px,) = preset.crop_size, preset.resize_size
        geometry = Geometry(
            size_px=(crop_px, crop_px),
            resize_px=resize_px,
            interpolation=preset.interpolation.value,
        )
        return Preprocessing(geometry=geometry, mean=preset.mean, std=preset.std)

    def weights_digest(self) -> str:
        """Digest of the checkpoint's bytes, or the seed of random weights."""
        return f"random:{self.spec.seed}" if self._path is None else file_digest(self._path)

    def load_model(self) -> "torch.nn.Module":
        """Build the network, load the state dict, and take the last linear layer off."""
        import torch
        import torchvision

        def build() -> torch.nn.Module:
            model: torch.nn.Module = torchvision.models.get_model(self.spec.model, weights=None)
            return model

        path = self._path
        model = seeded(build, self.spec.seed)
        if path is not None:
            try:
                model.load_state_dict(_read_state_dict(path))
            except Exception as error:  # pickle, safetensors and torch each raise their own
                raise foreign_weights(path, self.spec.model, error) from error
        _remove_last_linear(model, self.spec.model)
        return model.eval()

    @cached_property
    def _tags(self) -> Any:
        """The enumeration of the model's pretrained tags."""
        import torchvision

        classifiers = torchvision.models.list_models(module=torchvision.models)
        if self.spec.model not in classifiers:
            raise EncoderError(
                f"torchvision has no classifier {self.spec.model!r}: expected one of {classifiers}"
            )
        return torchvision.models.get_model_weights(self.spec.model)

    @cached_property
    def _path(self) -> Path | None:
        """The checkpoint, or None for random weights."""
        tags = self._tags
        if self.spec.weights == RANDOM:
            return None

        def fetch(tag: str) -> Path:
            import torch

            url = tags[tag].url
            # The library's own download and cache; it checks the hash that the file name carries.
            torch.hub.load_state_dict_from_url(url, map_location="meta", check_hash=True)
            return Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name

        return weights_file(self.spec.weights, list(tags.__members__), fetch)


def _read_state_dict(path: Path) -> Any:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    import torch

    return torch.load(path, map_location="cpu", weights_only=True)


def _remove_last_linear(model: "torch.nn.Module", name: str) -> None:
    import torch

    linear = [path for path, part in model.named_modules() if isinstance(part, torch.nn.Linear)]
    if not linear:
        raise EncoderError(
            f"{name!r} does not end in a linear layer, so it has no penultimate vector: "
            "choose another torchvision model, for example resnet50"
        )
    parent, _, child = linear[-1].rpartition(".")
    setattr(model.get_submodule(parent), child, torch.nn.Identity())
