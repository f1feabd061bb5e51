"""Frames out of one media file, by time, with PyAV.

Times are exact fractions until they leave this module: of a clip whose time stamps do not begin at
nothing, frames on the time grid would otherwise miss it by a rounding error.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream
from PIL import Image

from features.errors import MediaError
from features.media.files import open_media
from features.media.streams import (
    MIN_DECODED_SHARE,
    check_codec,
    check_end,
    clip_start_s,
    decode_packets,
    video_stream,
)

MAX_FRAME_PX = 64_000_000
"""Larger pictures than this (8000 x 8000) are refused: decoding one takes a worker's memory."""

MAX_ASPECT = 500
"""Longer or wider pictures are refused: scaled by the shorter side, they fill the memory."""

MAX_FRAME_RATE_HZ = 1000.0
"""Frames that follow each other faster than this on the whole have damaged time stamps."""

_FINEST_RATE = 1_000_000  # a frame rate of 0.1 Hz is one tenth, not the nearest binary number


@dataclass(frozen=True)
class Frame:
    """A picture of a clip, and when it is shown, in seconds from the first frame."""

    time_s: float
    image: Image.Image


def read_frames(
    path: Path, frame_rate_hz: float, *, max_duration_s: float = math.inf
) -> Iterator[Frame]:
    """Sample frames on a regular time grid, whatever the file's own frame rate.

    The frame taken at ``k / frame_rate_hz`` is the one on screen at that moment; a frame that is on
    screen for several grid points is taken once. Rotation flags are applied. A still image gives
    one frame.

    Parameters
    ----------
    path : Path
        A video or image file.
    frame_rate_hz : float
        Grid points per second.
    max_duration_s : float
        A frame that is shown later than this is an error: headers may lie.

    Yields
    ------
    Frame
        In the order of time; a frame whose time stamp goes back is left out.

    Raises
    ------
    MediaError
        Step ``stream`` without video; ``decode`` when nothing decodes, when there are frames after
        `max_duration_s`, or when pictures exceed `MAX_FRAME_PX` or `MAX_ASPECT`. At the end also
        when less than `MIN_DECODED_SHARE` of the promised frames came, or of the promised time, or
        of those that came in the order of time, or they came faster than `MAX_FRAME_RATE_HZ`.
    """
    with open_media(path, step="decode") as container:
        video = video_stream(container)
        if video is None:
            raise MediaError("stream", "the clip has no video")
        check_codec(video)
        # Workers decode different clips side by side: threads inside one clip would only compete.
        video.codec_context.thread_count = 1
        _check_size(video.codec_context.width, video.codec_context.height)
        distance_s = 1 / Fraction(frame_rate_hz).limit_denominator(_FINEST_RATE)
        zero_s = clip_start_s(container)
        n_decoded = n_in_order = 0
        shown: av.VideoFrame | None = None
        first_s = shown_s = point_s = Fraction(0)  # point_s: the next one of the grid
        for frame in decode_packets(container, video):
            time_s = _time_s(frame, video, n_decoded)
            zero_s = time_s if zero_s is None else zero_s
            time_s -= zero_s
            if n_decoded == 0:  # on screen at no point of the grid, perhaps, and taken all the same
                first_s = shown_s = point_s = max(time_s, Fraction(0))
            n_decoded += 1
            if time_s < shown_s:
                continue
            n_in_order += 1
            if time_s > max_duration_s:
                raise MediaError("decode", f"the pictures last more than {max_duration_s:g} s")
            if shown is not None and time_s > point_s:
                yield Frame(float(shown_s), _image(shown))
                point_s = math.ceil(time_s / distance_s) * distance_s
            shown, shown_s = frame, time_s
        if shown is not None and zero_s is not None:
            end_s = shown_s + _duration_s(shown)
            if shown_s >= point_s or end_s > point_s:
                yield Frame(float(shown_s), _image(shown))
            check_end(video, float(zero_s + end_s))
        n_promised = _n_promised(container, video)
        _check_times(n_decoded, n_in_order, n_promised, float(shown_s - first_s))


def _time_s(frame: av.VideoFrame, stream: VideoStream, index: int) -> Fraction:
    if frame.pts is None or frame.time_base is None:  # raw streams carry no times
        return index / (stream.average_rate or Fraction(25))
    return frame.pts * frame.time_base


def _duration_s(frame: av.VideoFrame) -> Fraction:
    """How long a frame is on screen; 0 where the file does not say."""
    return (frame.duration or 0) * (frame.time_base or Fraction(0))


def _image(frame: av.VideoFrame) -> Image.Image:
    _check_size(frame.width, frame.height)  # a stream may change its size midway
    image: Image.Image = frame.to_image()  # type: ignore[no-untyped-call]  # PyAV leaves it untyped
    return image.rotate(frame.rotation, expand=True) if frame.rotation else image


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_FRAME_PX:
        raise MediaError(
            "decode", f"{width} x {height} pixels: more than {MAX_FRAME_PX:,} in a picture"
        )
    if max(width, height) > MAX_ASPECT * min(width, height) > 0:  # 0: not known yet
        raise MediaError("decode", f"{width} x {height} pixels: longer than {MAX_ASPECT}:1")


def _n_promised(container: InputContainer, stream: VideoStream) -> int:
    """Frames that the header promises to show; 0 when it does not say.

    A clip that was trimmed without encoding anew holds frames before its first shown one. AVI
    counts places for frames, and leaves some empty where frames are shown for longer.
    """
    if container.format.name == "avi":
        return 0
    if stream.frames and stream.duration and stream.time_base and stream.average_rate:
        shown = round(stream.duration * stream.time_base * stream.average_rate)
        return min(stream.frames, shown)
    return stream.frames


def _check_times(n_decoded: int, n_in_order: int, n_promised: int, last_s: float) -> None:
    """Refuse a clip that lost frames, or whose time stamps cannot be those of its frames."""
    if n_decoded == 0:
        raise MediaError("decode", "no frame of the video stream decodes")
    reason = None
    if n_decoded < MIN_DECODED_SHARE * n_promised:  # 0 promised: the header does not say
        reason = f"only {n_decoded} of {n_promised} frames decode: the file is damaged"
    elif n_in_order < MIN_DECODED_SHARE * n_decoded:
        order = f"only {n_in_order} of {n_decoded} frames are in the order of time"
        reason = f"{order}: the time stamps are damaged"
    elif n_decoded - 1 > MAX_FRAME_RATE_HZ * last_s:
        reason = f"{n_decoded} frames within {last_s:.3g} s: the time stamps are damaged"
    if reason:
        raise MediaError("decode", reason)
