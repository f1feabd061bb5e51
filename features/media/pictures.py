"""Decoded frames as the pictures that a player or a browser shows.

What FFmpeg's programs do between decoder and screen, and its libraries leave to the caller: the
matrix of untagged colours, HDR, transparency, fields, pixels that are not square, orientation; and
colour profiles, which browsers follow.
"""

import io
from fractions import Fraction
from functools import lru_cache
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image, ImageCms

from features.errors import MediaError
from features.media.files import is_still_image

MAX_FRAME_PX = 64_000_000  # 8000 x 8000: decoding a larger picture takes a worker's memory
MAX_ASPECT = 500  # a longer or wider picture, scaled by its shorter side, fills the memory
MAX_PIXEL_ASPECT = 4  # pixels that are longer are taken for square: the header is damaged
HD_SIDES_PX = (1280, 720)  # untagged video at least so wide or so high has the colours of HD
WHITE_NITS = 203.0  # the white of usual pictures within HDR (ITU-R BT.2408); brighter is white

# As ITU-T H.273 numbers the matrices of colours, and FFmpeg's scaler does.
_BT709, _BT601 = 1, 5
_MATRICES = {_BT709, 4, _BT601, 6, 7, 9}
_UNTAGGED = {0, 2, 3}  # 0 says RGB, which formats in YCbCr are not

_PQ, _HLG = 16, 18  # transfer characteristics, as ITU-T H.273 numbers them
_HLG_PEAK_NITS = 1000.0
_HLG_GAMMA = 1.2  # of a screen of that peak
_LUMA_2020 = np.array([0.2627, 0.6780, 0.0593], np.float32)

_TO_709 = {  # from linear light of these primaries to that of BT.709 and sRGB
    9: [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    12: [[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0196, -0.0786, 1.0979]],
}
_PROFILED = {"RGB": "RGB", "CMYK": "CMYK", "L": "GRAY"}  # by mode, what a profile has to be of
_LEVELS = 65536
_WHITE = 255 * 256  # as FFmpeg writes it into 16 bits


class Screen:
    """Shows the frames of one stream.

    The resolution of a still picture, in dots per inch, says nothing of its shape, and its untagged
    colours are those of JPEG. The profile of a tile is followed for the whole picture.
    """

    def __init__(self, stream: VideoStream) -> None:
        self._is_still = is_still_image(stream.container)
        self._is_tile = bool(stream.disposition & av.stream.Disposition.dependent)
        aspect = Fraction((not self._is_still and stream.sample_aspect_ratio) or 1)
        is_damaged = not 1 / MAX_PIXEL_ASPECT <= aspect <= MAX_PIXEL_ASPECT
        self._pixel_aspect = Fraction(1) if is_damaged else aspect
        self._is_raw = stream.codec_context.name == "rawvideo"
        self._reformatter = VideoReformatter()

    def show(self, frame: av.VideoFrame) -> Image.Image:
        """Return a frame as an RGB picture with square pixels, upright.

        Raises
        ------
        MediaError
            Step ``decode`` for a size beyond the bounds, or colours that FFmpeg does not know.
        """
        check_size(frame.width, frame.height)  # a stream may change its size midway
        if is_beyond_srgb(frame):
            coded = self._convert(frame, "rgb48le")
            pixels = _to_srgb(coded, frame.color_trc, frame.color_primaries)
        elif not self._is_raw and any(part.is_alpha for part in frame.format.components):
            pixels = np.asarray(on_white(Image.fromarray(self._convert(frame, "rgba"))))
        else:
            pixels = self._convert(frame, "rgb24")
        matrix, profile = _side_data(frame)
        image = Image.fromarray(_upright(pixels, matrix))
        return by_profile(image, profile) if profile and not self._is_tile else image

    def _convert(self, frame: av.VideoFrame, pixels: str) -> NDArray[Any]:
        width = round(frame.width * max(self._pixel_aspect, Fraction(1)))
        height = round(frame.height / min(self._pixel_aspect, Fraction(1)))
        check_size(width, height)
        matrix = self._matrix(frame)
        source = _first_field(frame) if frame.interlaced_frame and frame.height > 1 else frame
        shown = self._reformatter.reformat(
            source, width, height, pixels, src_colorspace=matrix, threads=1
        )
        return shown.to_ndarray()

    def _matrix(self, frame: av.VideoFrame) -> int | None:
        """Which matrix leads from YCbCr to RGB; None for RGB."""
        if frame.format.is_rgb or frame.format.has_palette:
            return None
        if frame.colorspace in _UNTAGGED:
            is_hd = frame.width >= HD_SIDES_PX[0] or frame.height >= HD_SIDES_PX[1]
            return _BT709 if is_hd and not self._is_still else _BT601
        if frame.colorspace not in _MATRICES:
            reason = f"its colours are coded by matrix {frame.colorspace} of ITU-T H.273"
            raise MediaError("decode", f"{reason}: encode the video anew, in BT.709")
        return frame.colorspace


def is_beyond_srgb(coded: Any) -> bool:
    """Tell whether a frame, or what a codec context promises, is tagged as HDR or a wide gamut."""
    return coded.color_trc in (_PQ, _HLG) or coded.color_primaries in _TO_709


def by_profile(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert a picture to sRGB by its ICC profile; one that does not fit it changes nothing."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        fits = source.profile.xcolor_space.strip() == _PROFILED.get(image.mode)
        if fits and "sRGB" not in ImageCms.getProfileDescription(source):
            srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
            image = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB") or image
    except (ImageCms.PyCMSError, OSError):
        pass
    return image.convert("RGB")


def check_size(width: int, height: int) -> None:
    """Raise `MediaError` for a picture beyond `MAX_FRAME_PX` or `MAX_ASPECT`."""
    is_thin = max(width, height) > MAX_ASPECT * min(width, height) > 0  # 0: not known yet
    if is_thin or width * height > MAX_FRAME_PX:
        most = f"more than {MAX_FRAME_PX:,}, or longer than {MAX_ASPECT}:1"
        raise MediaError("decode", f"a picture of {width} x {height} pixels: {most}")


def on_white(image: Image.Image) -> Image.Image:
    """Lay a transparent picture on white, as on a page."""
    page = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(page, image.convert("RGBA")).convert("RGB")


def _first_field(frame: av.VideoFrame) -> av.VideoFrame:
    """Take every second line: those between are of another moment."""
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000)
    )
    graph.link_nodes(source, graph.add("field", "top"), graph.add("buffersink")).configure()
    graph.vpush(frame)
    field = graph.vpull()
    field.colorspace, field.color_range = frame.colorspace, frame.color_range
    return field


def _side_data(frame: av.VideoFrame) -> tuple[bytes, bytes]:
    """Return what comes with a frame: its display matrix, and its ICC profile."""
    try:
        data: Any = frame.side_data
    except ValueError:  # beside data that PyAV 18 has no name for
        turn = np.exp(1j * np.deg2rad(frame.rotation))
        cos, sin = turn.real, turn.imag
        numbers = 65536 * np.array([cos, -sin, 0, sin, cos, 0, 0, 0, 0])
        return np.rint(numbers).astype(np.int32).tobytes(), b""
    kinds = SideDataType.DISPLAYMATRIX, SideDataType.ICC_PROFILE
    matrix, profile = (bytes(data[kind]) if kind in data else b"" for kind in kinds)
    return matrix, profile


def _upright(pixels: NDArray[np.uint8], display_matrix: bytes) -> NDArray[np.uint8]:
    """Turn and mirror pixels by a display matrix; damaged ones say nothing."""
    matrix = np.frombuffer(display_matrix, np.int32)
    if matrix.size != 9:
        return pixels
    # A pixel at (x, y) is shown at (a x + c y, b x + d y).
    a, b, _, c, d = matrix[:5].astype(float)
    for is_exchanged, right, down, rest in ((False, a, d, (b, c)), (True, c, b, (a, d))):
        if min(abs(right), abs(down)) > 10 * max(map(abs, rest)):
            shown = pixels.swapaxes(0, 1) if is_exchanged else pixels
            return shown[:: int(np.sign(down)), :: int(np.sign(right))]
    return pixels


def _to_srgb(rgb: NDArray[np.uint16], transfer: int, primaries: int) -> NDArray[np.uint8]:
    """Convert HDR, or a picture in the gamut of BT.2020 or Display P3, to sRGB.

    Hybrid log-gamma (HLG) is what a screen of 1,000 cd/m2 shows, perceptual quantisation (PQ) is
    light as it stands; `WHITE_NITS` becomes 255. Other pictures change their gamut only. What does
    not fit into sRGB is clipped, channel by channel.
    """
    light = _linear(transfer)[rgb]
    if transfer == _HLG:
        luma = light @ _LUMA_2020
        light *= luma[:, :, None] ** np.float32(_HLG_GAMMA - 1) * (_HLG_PEAK_NITS / WHITE_NITS)
    matrix = _TO_709.get(primaries if primaries != 2 else 9)  # untagged HDR is BT.2020
    if matrix is not None:
        light = light @ np.array(matrix, np.float32).T
    np.clip(light, 0, 1, out=light)
    coded: NDArray[np.uint8] = _coded()[(light * (_LEVELS - 1) + 0.5).astype(np.uint16)]
    return coded


@lru_cache(maxsize=4)
def _linear(transfer: int) -> NDArray[np.float32]:
    """Light of each coded level: of the scene for HLG, otherwise relative to white."""
    coded = np.minimum(np.arange(_LEVELS) / _WHITE, 1)
    if transfer == _HLG:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - c) / a) + b) / 12)
    elif transfer == _PQ:
        m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
        root = coded ** (1 / m2)
        light = (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1) * 10_000 / WHITE_NITS
    else:
        light = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    return light.astype(np.float32)


@lru_cache(maxsize=1)
def _coded() -> NDArray[np.uint8]:
    """Levels of sRGB in 8 bits, by light."""
    light = np.arange(_LEVELS) / (_LEVELS - 1)
    coded = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    levels: NDArray[np.uint8] = np.rint(coded * 255).astype(np.uint8)
    return levels
