"""Image towers of open_clip: CLIP, SigLIP and their relatives."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from features.encoders.preprocessing import Geometry, Preprocessing
from features.encoders.torch_encoder import TorchEncoder, TorchSpec
from features.errors import EncoderError

if TYPE_CHECKING:
    import torch


class OpenClipSpec(TorchSpec):
    """An entry of ``encoders`` of this kind."""

    kind: Literal["open_clip"]


class OpenClipEncoder(TorchEncoder):
    """The image embedding of a CLIP model, before normalisation to unit length.

    Source: open_clip (Ilharco et al.); `model` and the tags in `weights` are those of
    ``open_clip.list_pretrained()``, for example ``ViT-B-32`` with ``laion2b_s34b_b79k``.
    """

    Spec = OpenClipSpec
    distribution = "open_clip_torch"

    @cached_property
    def tags(self) -> Sequence[str]:
        """As ``open_clip.list_pretrained_tags_by_model`` gives them."""
        import open_clip

        _ = self._config  # an unknown model is an error
        tags: list[str] = open_clip.list_pretrained_tags_by_model(self.spec.model)
        return tags

    def preprocessing_for(self, tag: str | None) -> Preprocessing:
        """Return the tag's preprocessing, or open_clip's defaults."""
        import open_clip
        from open_clip.transform import PreprocessCfg

        special = (open_clip.get_pretrained_cfg(self.spec.model, tag) if tag else None) or {}
        defaults = asdict(PreprocessCfg())
        cfg = defaults | {key: value for key, value in special.items() if key in defaults}
        size = self._config["vision_cfg"].get("image_size", 224)
        size_px = (size, size) if isinstance(size, int) else tuple(size)
        geometry = Geometry(
            size_px=size_px, mode=cfg["resize_mode"], interpolation=cfg["interpolation"]
        )
        return Preprocessing(geometry=geometry, mean=cfg["mean"], std=cfg["std"])

    def fetch(self, tag: str) -> Path:
        """Fetch through open_clip, which asks the Hugging Face hub.

        A tag trained with another activation is refused: open_clip warns and embeds wrongly.
        """
        import open_clip

        cfg = open_clip.get_pretrained_cfg(self.spec.model, tag)
        quick = f"{self.spec.model}-quickgelu"
        mismatch = cfg.get("quick_gelu", False) and not self._config.get("quick_gelu", False)
        if mismatch and quick in open_clip.list_models():
            raise EncoderError(
                f"the weights {tag!r} were trained with QuickGELU, which {self.spec.model!r} does "
                f"not use: set `model: {quick}`"
            )
        return Path(open_clip.download_pretrained(cfg))

    def build(self, path: Path | None) -> "torch.nn.Module":
        """Build the model through open_clip and keep its image tower."""
        import open_clip
        import torch

        model = open_clip.create_model(
            self.spec.model,
            None if path is None else str(path),
            device=torch.get_default_device(),
            pretrained_text=False,
        )
        tower: torch.nn.Module = model.visual
        return tower

    @cached_property
    def _config(self) -> dict[str, Any]:
        import open_clip

        config: dict[str, Any] | None = open_clip.get_model_config(self.spec.model)
        if config is None:
            raise EncoderError(
                f"open_clip has no model {self.spec.model!r}: expected one of "
                f"{open_clip.list_models()}"
            )
        return config
