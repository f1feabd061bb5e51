"""Image towers of open_clip: CLIP, SigLIP and their relatives."""

from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.encoders.base import EncoderError, FrameEncoder
from features.encoders.weights import RANDOM, file_digest, foreign_weights, seeded, weights_file
from features.preprocessing import Geometry, Preprocessing

if TYPE_CHECKING:
    import torch


class OpenClipEncoder(FrameEncoder):
    """The image embedding of a CLIP model, before normalisation to unit length.

    Source: open_clip (Ilharco et al.); `model` and the tags in `weights` are those of
    ``open_clip.list_pretrained()``, for example ``ViT-B-32`` with ``laion2b_s34b_b79k``.
    """

    @cached_property
    def preprocessing(self) -> Preprocessing:
        """The tag's own preprocessing; open_clip's defaults for a file or random weights."""
        import open_clip
        from open_clip.transform import PreprocessCfg

        tag = open_clip.get_pretrained_cfg(self.spec.model, self.spec.weights) or {}
        defaults = asdict(PreprocessCfg())
        cfg = defaults | {key: value for key, value in tag.items() if key in defaults}
        size = self._config["vision_cfg"].get("image_size", 224)
        size_px = (size, size) if isinstance(size, int) else tuple(size)
        geometry = Geometry(
            size_px=size_px, mode=cfg["resize_mode"], interpolation=cfg["interpolation"]
        )
        return Preprocessing(geometry=geometry, mean=cfg["mean"], std=cfg["std"])

    def weights_digest(self) -> str:
        """Digest of the checkpoint's bytes, or the seed of random weights."""
        return f"random:{self.spec.seed}" if self._path is None else file_digest(self._path)

    def load_model(self) -> "torch.nn.Module":
        """Build the image tower and load the checkpoint through open_clip."""
        import open_clip

        path = self._path
        if path is None:
            model = seeded(
                lambda: open_clip.create_model(self.spec.model, pretrained_text=False),
                self.spec.seed,
            )
        else:
            try:
                model = open_clip.create_model(self.spec.model, str(path), pretrained_text=False)
            except Exception as error:  # pickle, safetensors and torch each raise their own
                raise foreign_weights(path, self.spec.model, error) from error
        return _first_output(model.visual.eval())

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

    @cached_property
    def _path(self) -> Path | None:
        """The checkpoint, or None for random weights."""
        import open_clip

        _ = self._config  # an unknown model is said before an unknown tag
        if self.spec.weights == RANDOM:
            return None

        def fetch(tag: str) -> Path:
            return Path(
                open_clip.download_pretrained(open_clip.get_pretrained_cfg(self.spec.model, tag))
            )

        tags = open_clip.list_pretrained_tags_by_model(self.spec.model)
        if self.spec.weights in tags:
            self._check_activation()
        return weights_file(self.spec.weights, tags, fetch)

    def _check_activation(self) -> None:
        """Refuse a tag trained with another activation: open_clip warns and embeds wrongly."""
        import open_clip

        tag = open_clip.get_pretrained_cfg(self.spec.model, self.spec.weights)
        quick = f"{self.spec.model}-quickgelu"
        mismatch = tag.get("quick_gelu", False) and not self._config.get("quick_gelu", False)
        if mismatch and quick in open_clip.list_models():
            raise EncoderError(
                f"the weights {self.spec.weights!r} were trained with QuickGELU, which "
                f"{self.spec.model!r} does not use: set `model: {quick}`"
            )


def _first_output(tower: "torch.nn.Module") -> "torch.nn.Module":
    """Keep the embedding of towers that also return their tokens (CoCa)."""

    def first(_module: Any, _inputs: Any, output: Any) -> Any:
        return output[0] if isinstance(output, tuple) else output

    tower.register_forward_hook(first)
    return tower
