"""Image towers of open_clip: CLIP, SigLIP and their relatives."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

from features.encoders.pieces import Geometry, Preprocessing
from features.encoders.torch_encoder import TorchEncoder
from features.encoders.weights import hub_file
from features.errors import EncoderError

if TYPE_CHECKING:
    import torch

    from features.encoders.checkpoint import State

_HUB_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


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

    def preprocessing_for(self, tag: str | None) -> Preprocessing:
        """Return the tag's preprocessing, or open_clip's defaults."""
        import open_clip
        from open_clip.transform import PreprocessCfg

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
        names = (str(Path(name).with_suffix(".safetensors")), name) if name else _HUB_FILES
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
