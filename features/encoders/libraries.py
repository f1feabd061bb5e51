"""Networks of pictures of open_clip, timm and torchvision, with their pretrained tags."""

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
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

_OPEN_CLIP_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
_TIMM_FILES = ("model.safetensors", "pytorch_model.bin")
_TIMM_MODES: dict[str, Literal["shortest", "longest", "squash"]] = {
    "center": "shortest",
    "border": "longest",
    "squash": "squash",
}


class OpenClipEncoder(TorchEncoder):
    """The image embedding of a CLIP model, before normalisation to unit length.

    Source: open_clip (Ilharco et al.); `model` and the tags in `weights` are those of
    ``open_clip.list_pretrained()``, for example ``ViT-B-32`` with ``laion2b_s34b_b79k``.
    """

    distribution = "open_clip_torch"

    kind: Literal["open_clip"]

    @cached_property
    def tags(self) -> Mapping[str, Callable[[], Path]]:
        """As ``open_clip.list_pretrained_tags_by_model`` gives them."""
        import open_clip

        _ = self._config  # an unknown model is an error
        tags = open_clip.list_pretrained_tags_by_model(self.model)
        return {tag: partial(self._fetch, tag) for tag in tags}

    def picture_preprocessing(self) -> Preprocessing:
        """Return the tag's preprocessing, or open_clip's defaults."""
        import open_clip
        from open_clip.transform import PreprocessCfg

        tag = self.preprocessing_tag
        special = (open_clip.get_pretrained_cfg(self.model, tag) if tag else None) or {}
        defaults = asdict(PreprocessCfg())
        cfg = defaults | {key: value for key, value in special.items() if key in defaults}
        size = self._config["vision_cfg"].get("image_size", 224)
        size_px = (size, size) if isinstance(size, int) else tuple(size)
        geometry = Geometry(
            size_px=size_px, mode=cfg["resize_mode"], interpolation=cfg["interpolation"]
        )
        return Preprocessing(geometry=geometry, mean=cfg["mean"], std=cfg["std"])

    def _fetch(self, tag: str) -> Path:
        """Find the file that open_clip would load, on the Hugging Face hub.

        A tag trained with another activation is refused: open_clip warns and embeds wrongly.
        """
        import open_clip

        cfg = open_clip.get_pretrained_cfg(self.model, tag)
        quick = f"{self.model}-quickgelu"
        mismatch = cfg.get("quick_gelu", False) and not self._config.get("quick_gelu", False)
        if mismatch and quick in open_clip.list_models():
            raise EncoderError(
                f"the weights {tag!r} were trained with QuickGELU, which {self.model!r} does "
                f"not use: set `model: {quick}`"
            )
        repository, _, name = cfg["hf_hub"].rpartition("/")
        names = (str(Path(name).with_suffix(".safetensors")), name) if name else _OPEN_CLIP_FILES
        return hub_file(repository, *names)

    def build(self) -> "torch.nn.Module":
        """Build the model through open_clip and keep its image tower."""
        import open_clip
        import torch

        model = open_clip.create_model(
            self.model, device=torch.get_default_device(), pretrained_text=False
        )
        tower: torch.nn.Module = model.visual
        return tower

    def convert(self, state: "State", network: "torch.nn.Module") -> "State":
        """Bring other names, and positions of another size, to the tower's by open_clip."""
        from open_clip.convert import convert_state_dict
        from open_clip.model import resize_pos_embed

        tower, own = SimpleNamespace(visual=network), network.state_dict()
        if own.keys().isdisjoint(state):
            state = convert_state_dict(tower, state)
        else:
            state = {f"visual.{name}": value for name, value in state.items()}
        resize_pos_embed(state, tower)
        visual = ((name.removeprefix("visual."), value) for name, value in state.items())
        return dict(visual)

    @cached_property
    def _config(self) -> dict[str, Any]:
        import open_clip

        config: dict[str, Any] | None = open_clip.get_model_config(self.model)
        if config is None:
            raise EncoderError(
                f"open_clip has no model {self.model!r}: expected one of {open_clip.list_models()}"
            )
        return config


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

    def picture_preprocessing(self) -> Preprocessing:
        """Return the tag's evaluation transform, or that of the model's default tag."""
        return timm_preprocessing(self._cfg(self.preprocessing_tag))

    def _fetch(self, tag: str) -> Path:
        """Find the file that timm would load: of the Hugging Face hub, or at the tag's address."""
        cfg = self._cfg(tag)
        if not cfg.hf_hub_id:
            return torch_hub_file(cfg.url)
        names = (cfg.hf_hub_filename,) if cfg.hf_hub_filename else _TIMM_FILES
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

    def picture_preprocessing(self) -> Preprocessing:
        """Return the tag's preprocessing, or that of the model's default tag."""
        tag = self.preprocessing_tag
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


def timm_preprocessing(cfg: Any) -> Preprocessing:
    """Translate a ``timm.models.PretrainedCfg`` to what timm does with it for evaluation."""
    size_px = tuple(cfg.input_size[1:])
    mode = _TIMM_MODES[cfg.crop_mode]
    geometry = Geometry(
        size_px=size_px,
        mode=mode,
        resize_px=tuple(math.floor(px / cfg.crop_pct) for px in size_px),
        interpolation=cfg.interpolation,
        fill=tuple(round(255 * mean) if mode == "longest" else 0 for mean in cfg.mean),
    )
    return Preprocessing(geometry=geometry, mean=cfg.mean, std=cfg.std)
