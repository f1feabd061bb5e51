"""Classification networks of torchvision, up to their penultimate layer."""

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from features.encoders.pieces import Geometry, Preprocessing
from features.encoders.torch_encoder import TorchEncoder
from features.encoders.weights import torch_hub_file
from features.errors import EncoderError

if TYPE_CHECKING:
    import torch


TIMM_NAMES = {
    "efficientnet_v2_s": "efficientnetv2_s",
    "efficientnet_v2_m": "efficientnetv2_m",
    "mobilenet_v2": "mobilenetv2_100",
    "mobilenet_v3_large": "mobilenetv3_large_100",
    "mobilenet_v3_small": "mobilenetv3_small_100",
    "swin_b": "swin_base_patch4_window7_224",
    "swin_s": "swin_small_patch4_window7_224",
    "swin_t": "swin_tiny_patch4_window7_224",
    "vit_b_16": "vit_base_patch16_224",
    "vit_b_32": "vit_base_patch32_224",
    "vit_l_16": "vit_large_patch16_224",
}
"""What timm calls an architecture, where that is not torchvision's name."""


class TorchvisionEncoder(TorchEncoder):
    """The input of the last linear layer; 2048 wide for ResNet50.

    Source: torchvision; `model` and the tags in `weights` are those of
    ``torchvision.models.get_model_weights``, for example ``resnet50`` with ``IMAGENET1K_V2``.
    """

    distribution = "torchvision"

    kind: Literal["torchvision"]

    @property
    def tags(self) -> Mapping[str, Callable[[], Path]]:
        """As ``torchvision.models.get_model_weights`` lists them, through torch.hub."""
        return {
            tag: partial(torch_hub_file, each.url)
            for tag, each in self._weights.__members__.items()
        }

    def preprocessing_for(self, tag: str | None) -> Preprocessing:
        """Return the tag's preprocessing, or that of the model's default tag."""
        preset = (self._weights.DEFAULT if tag is None else self._weights[tag]).transforms()
        (crop_px,), (resize_px,) = preset.crop_size, preset.resize_size
        geometry = Geometry(
            size_px=(crop_px, crop_px),
            resize_px=(resize_px, resize_px),
            interpolation=preset.interpolation.value,
        )
        return Preprocessing(geometry=geometry, mean=preset.mean, std=preset.std)

    def build(self) -> "torch.nn.Module":
        """Build the network, and take the last linear layer off."""
        import torch
        import torchvision

        model: torch.nn.Module = torchvision.models.get_model(self.model, weights=None)
        parts = model.named_modules()
        linear = [name for name, part in parts if isinstance(part, torch.nn.Linear)]
        if not linear:
            raise EncoderError(
                f"{self.model!r} does not end in a linear layer, so it has no penultimate "
                "vector: choose another torchvision model, for example resnet50"
            )
        model.set_submodule(linear[-1], torch.nn.Identity())
        return model

    @cached_property
    def _weights(self) -> Any:
        """The enumeration of the model's pretrained tags."""
        import torchvision

        classifiers = torchvision.models.list_models(module=torchvision.models)
        if self.model not in classifiers:
            raise EncoderError(
                f"torchvision has no classifier {self.model!r}: expected one of {classifiers}"
            )
        return torchvision.models.get_model_weights(self.model)
