"""What a picture goes through before a frame encoder; it travels with the encoder's weights.

Geometry happens in the decode workers, on PIL images and without torch, so that workers start fast
and send small uint8 arrays. Scaling to float and normalising happen on the encoder's device.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict


class Geometry(BaseModel):
    """How a picture of any shape becomes one of a fixed shape.

    Attributes
    ----------
    size_px : (int, int)
        Height and width of the result.
    mode : {"shortest", "longest", "squash"}
        ``shortest``: the shorter side is scaled to `resize_px`, then the centre is cut out.
        ``longest``: the whole picture is fitted inside and padded with black. ``squash``: both
        sides are scaled on their own.
    resize_px : int or None
        The shorter side before cutting; None takes the smaller side of `size_px`.
    interpolation : {"nearest", "bilinear", "bicubic"}
        With antialiasing, as PIL resizes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size_px: tuple[int, int]
    mode: Literal["shortest", "longest", "squash"] = "shortest"
    resize_px: int | None = None
    interpolation: Literal["nearest", "bilinear", "bicubic"] = "bicubic"

    def apply(self, image: Image.Image) -> NDArray[np.uint8]:
        """Return the picture as a uint8 array of shape (3, height, width).

        Equal, value for value, to the transforms of torchvision and open_clip on PIL images up to
        their conversion to float.
        """
        image = image.convert("RGB")
        height, width = self.size_px
        if self.mode == "squash":
            image = self._resize(image, width, height)
        else:
            image = self._resize(image, *self._scaled_size(image))
            image = image.crop(_centre_box(image.size, (width, height)))
        return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))

    def _scaled_size(self, image: Image.Image) -> tuple[int, int]:
        height, width = self.size_px
        if self.mode == "longest":  # open_clip's ResizeKeepRatio
            scale = max(image.width / width, image.height / height)
            return round(image.width / scale), round(image.height / scale)
        target = self.resize_px or min(height, width)  # torchvision's Resize(int)
        shorter, longer = sorted(image.size)
        scaled = int(target * longer / shorter)
        return (target, scaled) if image.width <= image.height else (scaled, target)

    def _resize(self, image: Image.Image, width: int, height: int) -> Image.Image:
        size = (max(width, 1), max(height, 1))
        method = Image.Resampling[self.interpolation.upper()]
        return image if size == image.size else image.resize(size, method)


class Preprocessing(BaseModel):
    """Geometry, then ``(value / 255 - mean) / std`` per colour channel (red, green, blue)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    geometry: Geometry
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def _centre_box(size: tuple[int, int], crop: tuple[int, int]) -> tuple[int, int, int, int]:
    """Box of `crop` (width, height) around the centre; outside the picture PIL pads with black."""
    left, top = (_centre_offset(*pair) for pair in zip(size, crop, strict=True))
    return left, top, left + crop[0], top + crop[1]


def _centre_offset(size: int, crop: int) -> int:
    # Odd differences fall as in torchvision: rounded when cutting, floored when padding.
    return round((size - crop) / 2) if size >= crop else -((crop - size) // 2)
