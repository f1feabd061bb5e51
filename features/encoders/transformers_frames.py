"""Models of pictures, and of stacks of them, in transformers: ViT, DINOv2, CLIP; VideoMAE."""

from contextlib import suppress
from copy import deepcopy
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from PIL import Image
from pydantic import Field

from features.encoders.base import FrameEncoder
from features.encoders.pieces import Geometry, Pictures, Preprocessing
from features.encoders.transformers import TransformersNetwork
from features.errors import EncoderError

if TYPE_CHECKING:
    import torch

    from features.encoders.torch_model import TorchModel
    from features.identity import Sampling

_ALIKE = 3 / 255  # of white, on average: a way of scaling more or less, and no other cut


class TransformersFrameEncoder(FrameEncoder, TransformersNetwork):
    """What models of single frames and of stacks of them have in common.

    Attributes
    ----------
    tokens : {"mean", "first"}
        What becomes of a hidden state of several tokens: their mean, or the first one, which
        stands for the whole picture in models that are trained so (ViT, DINOv2, CLIP).
    """

    kind: Literal["transformers"]
    tokens: Literal["mean", "first"] = "mean"

    def picture_preprocessing(self) -> Preprocessing:
        """Say what the model's own processor does.

        Raises
        ------
        EncoderError
            When it does what `Preprocessing` cannot.
        """
        return self._preprocessing

    @cached_property
    def _preprocessing(self) -> Preprocessing:
        own = self.processor
        with suppress(AttributeError, KeyError, TypeError, ValueError):  # settings of another kind
            ours = _as_its_settings_say(own)
            if self._prepares_alike(ours):
                return ours
        raise EncoderError(
            f"the processor of {self.model} ({type(own).__name__}) prepares pictures in a way "
            "of its own: take the model from another library, or another model"
        )

    def _prepares_alike(self, ours: Preprocessing) -> bool:
        """Whether the processor makes the same of a picture: some cut or turn colours round."""
        colours = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        picture = Image.fromarray(colours).resize((320, 240))
        given = [np.stack([np.asarray(picture)] * 2)] if self.input == "video" else picture
        with self._loading("with its processor"):
            made = self.processor(given, return_tensors="pt")
        theirs = next(v for name, v in made.items() if name.startswith("pixel_values"))
        expected = ours.geometry.apply(picture) / 255
        if theirs.shape[-3:] != expected.shape:
            return False
        mean, std = (np.reshape(each, (3, 1, 1)) for each in (ours.mean, ours.std))
        seen = theirs.reshape(-1, *expected.shape)[0].numpy() * std + mean
        return bool(np.abs(seen - expected).mean() < _ALIKE)

    def load_model(self, device: "torch.device | None" = None, **more: Any) -> "TorchModel":
        """Load the model onto a device."""
        return super().load_model(device, preprocessing=self.picture_preprocessing(), **more)

    def rows_of(self, model: Any, pieces: "torch.Tensor") -> "torch.Tensor":
        """Embed normalised pictures (n, [frames,] 3, height, width) to (n, width)."""
        import torch

        return torch.cat(list(self._outputs(model, pieces).values()), dim=1)

    def columns(self) -> dict[str, int]:
        """Name and width of what is kept, in order."""
        return self._columns

    @cached_property
    def _columns(self) -> dict[str, int]:
        import torch

        shape = self._piece_shape()
        with (
            self._loading("as one that gives hidden states"),
            torch.device("meta"),
            torch.inference_mode(),
        ):
            model = self.auto_class().from_config(deepcopy(self.config)).eval()
            kept = self._outputs(self.part(model), torch.zeros(1, *shape))
        widths = {name: each.shape[1] for name, each in kept.items() if name != "logits"}
        return widths | dict.fromkeys(self.logit_names(), 1)

    def _outputs(self, model: Any, pictures: "torch.Tensor") -> "dict[str, torch.Tensor]":
        """Return the hidden states that are kept by the names of their layers, and ``logits``."""
        import torch

        options: dict[str, Any] = {model.main_input_name: pictures, "output_hidden_states": True}
        if model.config.model_type == "vjepa2" and not self.logits:
            options["skip_predictor"] = True
        if model.config.model_type == "vit_mae":  # else it hides patches by chance
            model.config.mask_ratio, n_patches = 0.0, model.embeddings.patch_embeddings.num_patches
            in_order = torch.arange(n_patches, device=pictures.device)
            options["noise"] = in_order.expand(len(pictures), -1)
        output = model(**options)
        states = output.hidden_states
        kept = self.kept_layers(len(states) - 1)
        hidden = {f"layer_{layer}": self._vector(states[layer]) for layer in kept}
        return hidden | ({"logits": output.logits} if self.logits else {})

    def _vector(self, state: "torch.Tensor") -> "torch.Tensor":
        if state.ndim == 4:  # (n, channels, height, width)
            return state.mean(dim=(2, 3))
        return state[:, 0] if self.tokens == "first" else state.mean(dim=1)

    def _piece_shape(self) -> tuple[int, ...]:
        return (3, *self.picture_preprocessing().geometry.size_px)


class TransformersPictureEncoder(TransformersFrameEncoder):
    """A model of frames, or of the faces in them; of several towers, the one that sees."""

    input: Literal["pictures"]


class TransformersVideoEncoder(TransformersFrameEncoder):
    """A model of stacks of frames, or of the faces in them: VideoMAE, TimeSformer, ViViT, V-JEPA 2.

    A row stands for a window. The model's own number of frames is spread evenly over it, whatever
    the rate that other encoders sample at. Windows lie side by side; the last one reaches back, so
    that it is full. Of a clip shorter than a window the last frame is repeated, as VideoMAE's
    authors do; a picture is repeated throughout.

    Attributes
    ----------
    window_s : float
        Length of a window. By default that of VideoMAE, which learned from every fourth of 30
        frames a second, 16 at a time.
    """

    batches: ClassVar[dict[str, Any]] = {"batch_size": {"cpu": 1, "cuda": 16}}

    input: Literal["video"]
    window_s: float = Field(default=2.0, ge=0.1, le=600)
    who: Literal["largest"] = "largest"  # a stack is of one person

    def pieces(self, sampling: "Sampling") -> Pictures:
        """Take stacks of frames, cropped to the face if the entry says so."""
        stacks = {"n_frames": self._n_frames, "frame_rate_hz": self._n_frames / self.window_s}
        return super().pieces(sampling).model_copy(update=stacks)

    def _piece_shape(self) -> tuple[int, ...]:
        return (self._n_frames, *super()._piece_shape())

    @property
    def _n_frames(self) -> int:
        config = self.config
        with self._loading("with its number of frames"):
            return int(getattr(config, "num_frames", None) or config.frames_per_clip)


def _as_its_settings_say(own: Any) -> Preprocessing:
    """Read from a processor's settings what it does; a picture that it prepares shows if more."""
    height, width, shorter = (own.size.get(key) for key in ("height", "width", "shortest_edge"))
    is_cropped = getattr(own, "do_center_crop", False)
    crop_px = (own.crop_size.height, own.crop_size.width) if is_cropped else None
    shape: dict[str, Any]
    if shorter and crop_px:
        shape = {"size_px": crop_px, "resize_px": (shorter, shorter)}
    elif shorter and shorter < 384:  # as ConvNeXt was trained
        shape = {"size_px": (shorter,) * 2, "resize_px": (int(shorter / own.crop_pct),) * 2}
    elif shorter:
        shape = {"size_px": (shorter,) * 2, "resize_px": (shorter,) * 2, "mode": "squash"}
    elif crop_px:
        shape = {"size_px": crop_px, "resize_px": (height, width), "mode": "squash"}
    else:
        shape = {"size_px": (height, width), "mode": "squash"}
    interpolation = Image.Resampling(own.resample).name.lower()
    white = round(own.rescale_factor * 255, 6)
    black = -1 if white == 2 else 0  # ViViT's, whose white is 1
    mean, std = (own.image_mean, own.image_std) if own.do_normalize else ([0.0] * 3, [1.0] * 3)
    return Preprocessing(
        geometry=Geometry(interpolation=interpolation, **shape),
        mean=[(value - black) / white for value in mean],
        std=[value / white for value in std],
    )
