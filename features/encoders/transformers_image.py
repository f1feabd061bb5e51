"""Models of pictures in Hugging Face's transformers: ViT, DINOv2, the eyes of CLIP, Swin."""

from copy import deepcopy
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from features.encoders.base import FrameEncoder
from features.encoders.pieces import Geometry, Preprocessing
from features.encoders.transformers import AutoClasses, TransformersNetwork
from features.errors import EncoderError

if TYPE_CHECKING:
    import torch

    from features.encoders.torch_model import TorchModel
    from features.encoders.transformers_networks import PictureNetwork

_INTERPOLATIONS: dict[int, Literal["nearest", "bilinear", "bicubic"]] = {
    0: "nearest",
    2: "bilinear",
    3: "bicubic",
}


class TransformersImageEncoder(FrameEncoder, TransformersNetwork):
    """A model of frames, or of the faces in them; of several towers, the one that sees.

    Attributes
    ----------
    tokens : {"mean", "first"}
        What becomes of a hidden state of several tokens: their mean, or the first one, which
        stands for the whole picture in models that are trained so (ViT, DINOv2, CLIP).
    """

    auto_classes = AutoClasses("AutoModel", "AutoModelForImageClassification", "AutoImageProcessor")
    processor_options: ClassVar[dict[str, Any]] = {"backend": "pil"}  # as pictures are scaled here

    kind: Literal["transformers_image"]
    tokens: Literal["mean", "first"] = "mean"

    def default_processor(self) -> Any:
        """Return ViT's, for pictures of the size that the model was made for."""
        import transformers

        side_px = getattr(self.config, "image_size", 224)
        return transformers.ViTImageProcessorPil(size={"height": side_px, "width": side_px})

    def picture_preprocessing(self) -> Preprocessing:
        """Say what the model's own processor does.

        Raises
        ------
        EncoderError
            When it does what `Preprocessing` cannot.
        """
        own = self.processor
        mean = own.image_mean if own.do_normalize else [0.0] * 3
        std = own.image_std if own.do_normalize else [1.0] * 3
        geometry = self._geometry(own) if own.do_resize and own.do_rescale else None
        if geometry is None or abs(own.rescale_factor * 255 - 1) > 1e-6:
            raise EncoderError(
                f"the processor of {self.model} ({type(own).__name__}) prepares pictures in a way "
                "of its own: take the model from another library, or another model"
            )
        return Preprocessing(geometry=geometry, mean=mean, std=std)

    def load_model(self, device: "torch.device | None" = None) -> "TorchModel":
        """Load the model onto a device."""
        from features.encoders.torch_model import TorchFrameModel

        network = self._kept_of(self.network())
        return TorchFrameModel(network, self.picture_preprocessing(), self.precision, device)

    def columns(self) -> dict[str, int]:
        """Name and width of what is kept, in order."""
        return self._columns

    @cached_property
    def _columns(self) -> dict[str, int]:
        import torch
        import transformers

        classes = self.auto_classes
        auto = getattr(transformers, classes.with_head if self.logits else classes.trunk)
        with torch.device("meta"), torch.inference_mode():
            network = self._kept_of(auto.from_config(deepcopy(self.config)).eval())
            size_px = self.picture_preprocessing().geometry.size_px
            hidden = network.hidden(torch.zeros(1, 3, *size_px))
        widths = {f"layer_{layer}": state.shape[1] for layer, state in hidden.items()}
        return widths | dict.fromkeys(self.logit_names(), 1)

    def _kept_of(self, model: "torch.nn.Module") -> "PictureNetwork":
        from features.encoders.transformers_networks import PictureNetwork

        return PictureNetwork(
            model, self.kept_layers, first_token=self.tokens == "first", logits=self.logits
        )

    def _geometry(self, own: Any) -> Geometry | None:
        interpolation = _INTERPOLATIONS.get(int(own.resample))
        height, width, shorter = (own.size.get(key) for key in ("height", "width", "shortest_edge"))
        if interpolation is None:
            return None
        if shorter and getattr(own, "do_center_crop", False):
            size_px = (own.crop_size.height, own.crop_size.width)
            resize_px = (shorter, shorter)
            return Geometry(size_px=size_px, resize_px=resize_px, interpolation=interpolation)
        if height and width and not getattr(own, "do_center_crop", False):
            return Geometry(size_px=(height, width), mode="squash", interpolation=interpolation)
        if shorter and hasattr(own, "crop_pct"):  # as ConvNeXt was trained
            side = int(shorter / own.crop_pct) if shorter < 384 else shorter
            mode: Literal["shortest", "squash"] = "shortest" if shorter < 384 else "squash"
            return Geometry(
                size_px=(shorter, shorter),
                resize_px=(side, side),
                mode=mode,
                interpolation=interpolation,
            )
        return None
