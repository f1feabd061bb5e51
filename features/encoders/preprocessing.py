"""What a picture goes through before a frame encoder; it travels with the encoder's weights.

Geometry happens in the decode workers, on PIL images and without torch, so that workers start fast
and send small uint8 arrays. Scaling to float and normalising happen on the encoder's device.
"""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

SidePx = Annotated[int, Field(gt=0, le=8192)]
ColourLevel = Annotated[int, Field(ge=0, le=255)]


class Geometry(BaseModel):
    """How a picture of any shape becomes one of a fixed shape: scaled, then centred.

    Attributes
    ----------
    size_px : (int, int)
        Height and width of the result, cut out of the middle of the scaled picture. What the
        picture does not reach has the colour `fill`.
    mode : {"shortest", "longest", "squash"}
        What the picture is scaled to. ``shortest``: it covers a box of `resize_px`. ``longest``:
        it fits inside. ``squash``: it takes the box's shape.
    resize_px : (int, int) or None
        Height and width of that box; None: `size_px`.
    interpolation : {"nearest", "bilinear", "bicubic"}
        With antialiasing, as PIL resizes.
    fill : (int, int, int)
        Red, green and blue.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    size_px: tuple[SidePx, SidePx]
    mode: Literal["shortest", "longest", "squash"] = "shortest"
    resize_px: tuple[SidePx, SidePx] | None = None
    interpolation: Literal["nearest", "bilinear", "bicubic"] = "bicubic"
    fill: tuple[ColourLevel, ColourLevel, ColourLevel] = (0, 0, 0)

    def apply(self, image: Image.Image) -> NDArray[np.uint8]:
        """Return the picture as a uint8 array of shape (3, height, width).

        Equal, value for value, to the transforms of torchvision, open_clip and timm on PIL images
        up to their conversion to float.
        """
        image = self._scaled(image.convert("RGB"))
        height, width = self.size_px
        if image.size != (width, height):
            result = Image.new("RGB", (width, height), self.fill)
            offset = _centre_offset(image.width, width), _centre_offset(image.height, height)
            result.paste(image, offset)
            image = result
        return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))

    def _scaled(self, image: Image.Image) -> Image.Image:
        width, height = self._scaled_size(image)
        size = (max(width, 1), max(height, 1))
        method = Image.Resampling[self.interpolation.upper()]
        return image if size == image.size else image.resize(size, method)

    def _scaled_size(self, image: Image.Image) -> tuple[int, int]:
        height, width = self.resize_px or self.size_px
        if self.mode == "squash":
            return width, height
        if self.mode == "shortest" and height == width:  # torchvision's Resize(int)
            shorter, longer = sorted(image.size)
            scaled = int(height * longer / shorter)
            return (width, scaled) if image.width <= image.height else (scaled, height)
        # ResizeKeepRatio of timm and open_clip
        choose = min if self.mode == "shortest" else max
        ratio = choose(image.width / width, image.height / height)
        return round(image.width / ratio), round(image.height / ratio)


class Preprocessing(BaseModel):
    """Geometry, then ``(value / 255 - mean) / std`` per colour channel (red, green, blue)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    geometry: Geometry
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def _centre_offset(size: int, room: int) -> int:
    """Where a side of length `size` starts in the middle of `room`; below 0 when it is cut."""
    # Odd differences fall as in torchvision: rounded when cutting, floored when padding.
    return -round((size - room) / 2) if size >= room else (room - size) // 2
