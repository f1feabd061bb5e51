"""Frames out of one media file, by time: videos with PyAV, still pictures with Pillow.

Times are exact fractions until they leave this module: of a clip whose time stamps do not begin at
nothing, frames on the time grid would otherwise miss it by a rounding error.

FFmpeg hands over the tiles of HEIC, as phones write it, one by one, and PyAV does not tell how they
make a picture: that is read from the file's boxes (ISO/IEC 23008-12).
"""

import math
import struct
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from PIL import Image, ImageOps

from features.errors import MediaError
from features.media.files import (
    check_codec,
    check_share,
    check_whole,
    clip_start_s,
    decode_packets,
    is_still_image,
    open_media,
    video_stream,
)
from features.media.pictures import Screen, by_profile, check_size, is_beyond_srgb, on_white

MAX_FRAME_RATE_HZ = 1000.0  # frames that come faster on the whole have damaged time stamps
_FINEST_RATE = 1_000_000  # a frame rate of 0.1 Hz is one tenth, not the nearest binary number
_STILL_FORMATS = ("AVIF", "BMP", "JPEG", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP")
_MAX_HEAD_BYTES = 16 * 2**20

Shown = tuple[Fraction, Fraction, Callable[[], Image.Image]]
"""When a picture is shown, for how long (0: the file does not say), and what draws it, in RGB."""


class Frame(NamedTuple):
    """A picture of a clip, and when it is shown, in seconds from the beginning of the clip."""

    time_s: float
    image: Image.Image


def read_frames(
    path: Path, frame_rate_hz: float, *, max_duration_s: float = math.inf
) -> Iterator[Frame]:
    """Sample frames of a video or image on a regular time grid, whatever its own frame rate.

    The frame taken at ``k / frame_rate_hz`` is the one on screen at that moment; a frame that is on
    screen for several grid points is taken once, and the first one wherever it lies. One whose time
    stamp goes back is left out. A still image gives one frame. What is done to a picture:
    `features.media.pictures`.

    Parameters
    ----------
    path : Path
        The file.
    frame_rate_hz : float
        Grid points per second.
    max_duration_s : float
        A frame that is shown later than this is an error: headers may lie.

    Raises
    ------
    MediaError
        Step ``stream`` without video; ``decode`` when nothing decodes, when there are frames after
        `max_duration_s`, or when pictures exceed the bounds of `check_size`. At the end also when
        less came than was promised (`check_whole`), when too few are in the order of time, or when
        they came faster than `MAX_FRAME_RATE_HZ`.
    """
    with open_media(path, step="decode") as container:
        stills = _stills(path, container) if is_still_image(container) else None
        yield from _sampled(stills or _decoded(container), frame_rate_hz, max_duration_s)


def _sampled(
    shown: Iterable[Shown], frame_rate_hz: float, max_duration_s: float
) -> Iterator[Frame]:
    distance_s = 1 / Fraction(frame_rate_hz).limit_denominator(_FINEST_RATE)
    last_s = end_s = point_s = Fraction(0)  # of the last picture; the next point of the grid
    draw = None  # the last picture
    for time_s, duration_s, draw_this in shown:
        if time_s > max_duration_s:
            raise MediaError("decode", f"the pictures last more than {max_duration_s:g} s")
        if draw is None:
            point_s = time_s  # the first picture is taken wherever it lies
        elif time_s > point_s:
            yield Frame(float(last_s), draw())
            point_s = math.ceil(time_s / distance_s) * distance_s
        last_s, end_s, draw = time_s, time_s + duration_s, draw_this
    if draw and (last_s >= point_s or end_s > point_s):
        yield Frame(float(last_s), draw())


def _decoded(container: InputContainer) -> Iterator[Shown]:
    """Yield the frames that come in the order of time, in clip time; then check what came."""
    video = video_stream(container)
    if video is None:
        raise MediaError("stream", "the clip has no video")
    check_codec(video)
    # Workers decode different clips side by side: threads inside one clip would only compete.
    video.codec_context.thread_count = 1
    check_size(video.codec_context.width, video.codec_context.height)
    screen = Screen(video)
    # Pictures of AVI have no times of their own: FFmpeg makes them up, and is wrong with B-frames.
    is_avi = container.format.name == "avi"
    ticks, zero_s = None, None if is_avi else clip_start_s(container)
    n_decoded = n_in_order = 0
    first_s = last_s = end_s = Fraction(0)
    for frame in decode_packets(container, video):
        if not is_avi:
            ticks = frame.pts
        elif frame.dts is not None or ticks is None:
            ticks = frame.dts
        else:  # what the decoder kept back
            ticks += 1
        if ticks is None or frame.time_base is None:  # raw streams carry no times
            time_s = n_decoded / (video.average_rate or Fraction(25))
        else:
            time_s = ticks * frame.time_base
        zero_s = time_s if zero_s is None else zero_s
        time_s = max(time_s - zero_s, Fraction(0))
        if n_decoded == 0:
            first_s = last_s = time_s
        n_decoded += 1
        if time_s < last_s:
            continue
        n_in_order += 1
        duration_s = (frame.duration or 0) * (frame.time_base or Fraction(0))
        last_s, end_s = time_s, zero_s + time_s + duration_s
        yield time_s, duration_s, partial(screen.show, frame)
    if n_decoded == 0:
        raise MediaError("decode", "no frame of the video stream decodes")
    frame_s = float(1 / video.average_rate) if video.average_rate else 0.0
    check_whole(video, float(end_s), n_decoded * frame_s, frame_s)
    check_share(n_in_order, n_decoded, "only {} of {} frames are in the order of time")
    if n_decoded - 1 > MAX_FRAME_RATE_HZ * (last_s - first_s):
        reason = f"{n_decoded} frames within {float(last_s - first_s):.3g} s"
        raise MediaError("decode", f"{reason}: the time stamps are damaged")


def _stills(path: Path, container: InputContainer) -> Iterator[Shown] | None:
    """Read the pictures of a still file as browsers show them; None where it is read as a video.

    All but animated WebP and AVIF hold one.
    """
    if "major_brand" in container.metadata and (picture := _put_together(container, path)):
        return iter([(Fraction(0), Fraction(0), picture.copy)])
    if any(is_beyond_srgb(stream.codec_context) for stream in container.streams.video):
        return None  # Pillow would show HDR as it is coded
    try:
        image = Image.open(path, formats=_STILL_FORMATS)
    except Image.DecompressionBombError as error:
        raise MediaError("decode", str(error)) from None
    except (OSError, ValueError, SyntaxError):
        return None
    check_size(*image.size)
    return _pictures(image)


def _pictures(image: Image.Image) -> Iterator[Shown]:
    time_s = Fraction(0)
    is_animated = image.format in {"AVIF", "WEBP"}
    try:
        for number in range(getattr(image, "n_frames", 1) if is_animated else 1):
            image.seek(number)
            image.load()
            duration_s = Fraction(image.info.get("duration", 0)) / 1000
            yield time_s, duration_s, _as_shown(image).copy
            time_s += duration_s
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise MediaError("decode", f"the picture is damaged: {error}") from None


def _as_shown(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile", b"")
    is_scaled = image.format == "PPM"  # Pillow has the 16 bits of PGM in 32
    image = ImageOps.exif_transpose(image)
    if image.mode == "F" or (image.mode == "I" and not is_scaled):
        raise ValueError("it holds numbers of 32 bits without a scale; write it in 8 or 16")
    if image.mode.startswith("I"):  # Pillow would cut them at 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.has_transparency_data:
        image = on_white(image)
    elif image.mode == "P":
        image = image.convert("RGB")
    return by_profile(image, profile)


def _put_together(container: InputContainer, path: Path) -> Image.Image | None:
    """Return the main picture of a file as it is shown; None when it is not made of tiles."""
    try:
        tiles, owned = _read_tiles(path)
        width, height = struct.unpack(">II", owned["ispe"][4:])
    except (KeyError, IndexError, ValueError, struct.error, OSError):
        return None
    check_size(width, height)
    picture = Image.new("RGB", (width, height))
    streams = [stream for stream in container.streams.video if stream.id in tiles]
    screens = {stream.id: Screen(stream) for stream in streams}
    n_put = 0
    for packet in container.demux(streams):
        for frame in packet.decode():
            assert isinstance(frame, VideoFrame)
            tile = screens[packet.stream.id].show(frame)
            row, column = divmod(tiles.index(packet.stream.id), -(-width // tile.width))
            picture.paste(tile, (column * tile.width, row * tile.height))
            n_put += 1
    if n_put < len(tiles):
        raise MediaError("decode", f"only {n_put} of {len(tiles)} tiles of the picture decode")
    pixels = np.rot90(np.asarray(picture), owned.get("irot", b"\0")[0] & 3)  # anticlockwise
    if "imir" in owned:  # then: 0 top and bottom, 1 left and right
        pixels = np.flip(pixels, owned["imir"][0] & 1)
    profile = owned.get("colr", b"")
    return by_profile(Image.fromarray(pixels), profile[4:] if profile[:4] == b"prof" else b"")


def _read_tiles(path: Path) -> tuple[list[int], dict[str, bytes]]:
    """Read of which streams, by their ids, the main picture is made, row by row, and what it owns.

    Its properties are by their kinds; of two colours the one with a profile.
    """
    with path.open("rb") as file:
        meta = dict(_boxes(dict(_boxes(file.read(_MAX_HEAD_BYTES)))["meta"][4:]))
    main = int.from_bytes(meta["pitm"][4:])
    id_type = np.dtype(">u4" if meta["iref"][0] else ">u2")
    made_of = [box for kind, box in _boxes(meta["iref"][4:]) if kind == "dimg"]
    made = {int.from_bytes(box[: id_type.itemsize]): box[id_type.itemsize + 2 :] for box in made_of}
    tiles = np.frombuffer(made[main], id_type).tolist()
    iprp = dict(_boxes(meta["iprp"]))
    properties, ipma, position = list(_boxes(iprp["ipco"])), iprp["ipma"], 8
    head = ">IB" if ipma[0] else ">HB"
    width, mask = ("H", 32767) if ipma[3] & 1 else ("B", 127)  # the highest bit is a flag
    for _ in range(int.from_bytes(ipma[4:8])):
        item, n = struct.unpack_from(head, ipma, position)
        numbers = struct.unpack_from(f">{n}{width}", ipma, position + struct.calcsize(head))
        position += struct.calcsize(head) + struct.calcsize(f">{n}{width}")
        if item == main:
            owned = [properties[(k & mask) - 1] for k in numbers if k & mask]
            return tiles, dict(each for each in owned if each[1][:4] != b"nclx")
    raise KeyError(main)


def _boxes(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the kinds and contents of the boxes that follow each other."""
    start = 0
    while start + 8 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, start)
        if size < 8:
            return
        yield kind.decode("latin1"), content[start + 8 : start + size]
        start += size
