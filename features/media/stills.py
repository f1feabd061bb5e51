"""Still pictures, and animated WebP, as Pillow and browsers show them."""

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

from features.errors import MediaError
from features.media.pictures import check_size, on_white

_FORMATS = ("AVIF", "BMP", "JPEG", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP")
_PROFILED = {"RGB": "RGB", "CMYK": "CMYK", "L": "GRAY"}  # by mode, what a profile has to be of
_NUMBERS = {"I", "F"}
_DEEP_GREY = "I;16"  # in 16 bits, the modes of Pillow; converted by it they would be cut at 255


def open_still(path: Path) -> Image.Image | None:
    """Open a picture without decoding it; None where FFmpeg has to read it.

    Raises
    ------
    MediaError
        Step ``decode`` for one beyond the bounds of `features.media.pictures`.
    """
    try:
        image = Image.open(path, formats=_FORMATS)
    except (Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        if isinstance(error, Image.DecompressionBombError):
            raise MediaError("decode", str(error)) from None
        return None
    check_size(*image.size)
    return image


def pictures_of(image: Image.Image) -> Iterator[tuple[Fraction, Fraction, Image.Image]]:
    """Yield the pictures of an open file, with the time and duration of each in seconds.

    In sRGB by their ICC profile, turned and mirrored by their EXIF orientation, transparent ones on
    white. All but animated WebP and AVIF hold one.

    Raises
    ------
    MediaError
        Step ``decode`` when a picture is damaged.
    """
    time_s = Fraction(0)
    is_animated = image.format in {"AVIF", "WEBP"}
    try:
        for number in range(getattr(image, "n_frames", 1) if is_animated else 1):
            image.seek(number)
            image.load()
            duration_s = Fraction(image.info.get("duration", 0)) / 1000
            yield time_s, duration_s, _as_shown(image)
            time_s += duration_s
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise MediaError("decode", f"the picture is damaged: {error}") from None


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert a picture by its ICC profile; one that does not fit it changes nothing."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        fits = source.profile.xcolor_space.strip() == _PROFILED.get(image.mode)
        if fits and "sRGB" not in ImageCms.getProfileDescription(source):
            srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
            image = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB") or image
    except (ImageCms.PyCMSError, OSError):
        pass
    return image.convert("RGB")


def _as_shown(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    upright = ImageOps.exif_transpose(image)
    if upright.mode in _NUMBERS:
        raise ValueError("it holds numbers of 32 bits without a scale; write it in 8 or 16")
    if upright.mode.startswith(_DEEP_GREY):
        upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
    elif upright.has_transparency_data:
        upright = on_white(upright)
    elif upright.mode == "P":
        upright = upright.convert("RGB")
    return to_srgb(upright, profile) if profile else upright.convert("RGB")
