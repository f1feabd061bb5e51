"""Networks of timm, up to the pooled vector before their classifier."""

import difflib
import math
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

from features.encoders.pieces import Geometry, Preprocessing
from features.encoders.torch_encoder import TorchEncoder
from features.encoders.weights import hub_file, torch_hub_file
from features.errors import EncoderError

if TYPE_CHECKING:
    import torch

    from features.encoders.checkpoint import State

_MODES: dict[str, Literal["shortest", "longest", "squash"]] = {
    "center": "shortest",
    "border": "longest",
    "squash": "squash",
}
_HUB_FILES = ("model.safetensors", "pytorch_model.bin")


class TimmEncoder(TorchEncoder):
    """The input of the classifier; 2048 wide for ResNet50.

    Source: timm (Wightman); `model` is a name of ``timm.list_models()``, and the tags in `weights`
    are what follows the dot in ``timm.list_pretrained()``: for example ``resnet50`` with
    ``a1_in1k``.
    """

    distribution = "timm"

    kind: Literal["timm"]

    @cached_property
    def tags(self) -> Mapping[str, Callable[[], Path]]:
        """As ``timm.models.get_arch_pretrained_cfgs`` lists them, where they have weights."""
        import timm

        if self.model not in (known := timm.list_models()):
            name, _, tag = self.model.partition(".")
            near = difflib.get_close_matches(name, known, n=5) or ["resnet50"]
            hint = f"expected a name of timm.list_models(), such as {near}"
            if name in known:
                hint = f"set `model: {name}` and `weights: {tag}`"
            raise EncoderError(f"timm has no model {self.model!r}: {hint}")
        cfgs = timm.models.get_arch_pretrained_cfgs(self.model)
        names = [name.partition(".")[2] for name, cfg in cfgs.items() if cfg.has_weights]
        return {name: partial(self._fetch, name) for name in names}

    def preprocessing_for(self, tag: str | None) -> Preprocessing:
        """Return the tag's evaluation transform, or that of the model's default tag."""
        return timm_preprocessing(self._cfg(tag))

    def _fetch(self, tag: str) -> Path:
        """Find the file that timm would load: of the Hugging Face hub, or at the tag's address."""
        cfg = self._cfg(tag)
        if not cfg.hf_hub_id:
            return torch_hub_file(cfg.url)
        names = (cfg.hf_hub_filename,) if cfg.hf_hub_filename else _HUB_FILES
        return hub_file(cfg.hf_hub_id, *names)

    def build(self) -> "torch.nn.Module":
        """Build the network without classifier."""
        return self._create(pretrained=False)

    def convert(self, state: "State", network: "torch.nn.Module") -> "State":  # noqa: ARG002
        """Bring names and shapes to those of the network, by timm's own filter for the model.

        timm offers no way to the filter but to load, and then loads leniently: so what it would
        load into another such network is kept instead.
        """
        from unittest.mock import patch  # not for decode workers

        import torch

        kept: dict[str, torch.Tensor] = {}

        def keep(_: torch.nn.Module, filtered: Mapping[str, torch.Tensor], **__: object) -> Any:
            kept.update(filtered)
            return SimpleNamespace(missing_keys=(), unexpected_keys=())

        with patch.object(torch.nn.Module, "load_state_dict", keep):
            source = {"state_dict": state, "classifier": None}
            self._create(pretrained=True, pretrained_cfg_overlay=source)
        return kept

    def _create(self, **more: Any) -> "torch.nn.Module":
        import timm

        # The tag also decides a fixed input size.
        model: torch.nn.Module = timm.create_model(
            self.model, pretrained_cfg=self.preprocessing_tag, num_classes=0, **more
        )
        return model

    def _cfg(self, tag: str | None) -> Any:
        import timm

        name = self.model if tag is None else f"{self.model}.{tag}"
        return timm.get_pretrained_cfg(name) or timm.models.PretrainedCfg()


def timm_preprocessing(cfg: Any) -> Preprocessing:
    """Translate a ``timm.models.PretrainedCfg`` to what timm does with it for evaluation."""
    size_px = tuple(cfg.input_size[1:])
    mode = _MODES[cfg.crop_mode]
    geometry = Geometry(
        size_px=size_px,
        mode=mode,
        resize_px=tuple(math.floor(px / cfg.crop_pct) for px in size_px),
        interpolation=cfg.interpolation,
        fill=tuple(round(255 * mean) if mode == "longest" else 0 for mean in cfg.mean),
    )
    return Preprocessing(geometry=geometry, mean=cfg.mean, std=cfg.std)
