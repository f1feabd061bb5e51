"""Networks of timm, up to the pooled vector before their classifier."""

import difflib
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from features.encoders.pieces import Geometry, Preprocessing
from features.encoders.torch_encoder import TorchEncoder
from features.encoders.weights import RANDOM, torch_hub_file
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
    def tags(self) -> Sequence[str]:
        """As ``timm.models.get_arch_pretrained_cfgs`` lists them, where they have weights."""
        import timm

        model = self.model
        if model not in timm.list_models():
            raise EncoderError(f"timm has no model {model!r}: {_hint(model)}")
        cfgs = timm.models.get_arch_pretrained_cfgs(model)
        return [name.partition(".")[2] for name, cfg in cfgs.items() if cfg.has_weights]

    def preprocessing_for(self, tag: str | None) -> Preprocessing:
        """Return the tag's evaluation transform, or that of the model's default tag."""
        return timm_preprocessing(self._cfg(tag))

    def fetch(self, tag: str) -> Path:
        """Fetch the file that timm would load, from the Hugging Face hub or the tag's address."""
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        cfg = self._cfg(tag)
        if not cfg.hf_hub_id:
            return torch_hub_file(cfg.url)
        *others, last = (cfg.hf_hub_filename,) if cfg.hf_hub_filename else _HUB_FILES
        for name in others:
            try:
                return Path(hf_hub_download(cfg.hf_hub_id, name))
            except EntryNotFoundError:
                continue
        return Path(hf_hub_download(cfg.hf_hub_id, last))

    def build(self) -> "torch.nn.Module":
        """Build the network without classifier."""
        return self._create(pretrained=False)

    def convert(self, state: "State", network: "torch.nn.Module") -> "State":  # noqa: ARG002
        """Bring names and shapes to those of the network, by timm's own filter for the model.

        timm offers no way to the filter but to load, and then loads leniently: so what it would
        load into another such network is kept instead.
        """
        import torch

        kept: dict[str, torch.Tensor] = {}

        def keep(_: torch.nn.Module, filtered: Mapping[str, torch.Tensor], **__: object) -> Any:
            kept.update(filtered)
            return _NothingAmiss()

        load = torch.nn.Module.load_state_dict
        torch.nn.Module.load_state_dict = keep  # type: ignore[assignment,method-assign]
        try:
            source = {"state_dict": state, "classifier": None}
            self._create(pretrained=True, pretrained_cfg_overlay=source)
        finally:
            torch.nn.Module.load_state_dict = load  # type: ignore[method-assign]
        return kept

    def twin(self) -> TorchEncoder | None:
        """Return torchvision's network of this architecture, where it has one."""
        import torchvision

        from features.encoders.torchvision import TIMM_NAMES, TorchvisionEncoder

        name = {ours: theirs for theirs, ours in TIMM_NAMES.items()}.get(self.model, self.model)
        if name not in torchvision.models.list_models(module=torchvision.models):
            return None
        return TorchvisionEncoder(kind="torchvision", model=name, weights=RANDOM)

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


def _hint(model: str) -> str:
    """Say what an unknown name may stand for; there are too many models to list them."""
    import timm

    renamed: str | None = timm.models.get_deprecated_models().get(model)
    name, _, tag = (renamed or model).partition(".")
    if name in (known := timm.list_models()):
        return f"set `model: {name}`" + (f" and `weights: {tag}`" if tag else "")
    near = difflib.get_close_matches(name, known, n=5)
    return f"expected a name of timm.list_models(), such as {near or ['resnet50']}"


class _NothingAmiss(NamedTuple):
    """What ``load_state_dict`` returns."""

    missing_keys: tuple[str, ...] = ()
    unexpected_keys: tuple[str, ...] = ()
