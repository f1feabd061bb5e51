"""Frames out of one media file, by time, with PyAV.

Times are exact fractions until they leave this module: of a clip whose time stamps do not begin at
nothing, frames on the time grid would otherwise miss it by a rounding error.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import NamedTuple

from av.container import InputContainer
from av.video.stream import VideoStream
from PIL import Image

from features.errors import MediaError
from features.media.files import (
    check_codec,
    check_end,
    check_share,
    clip_start_s,
    decode_packets,
    is_still_image,
    open_media,
    video_stream,
)
from features.media.pictures import Screen, check_size
from features.media.stills import read_still

MAX_FRAME_RATE_HZ = 1000.0
"""Frames that follow each other faster than this on the whole have damaged time stamps."""

_FINEST_RATE = 1_000_000  # a frame rate of 0.1 Hz is one tenth, not the nearest binary number

_Shown = tuple[Fraction, Fraction, Callable[[], Image.Image]]
"""When a picture is shown, for how long (0: the file does not say), and what draws it."""


class Frame(NamedTuple):
    """A picture of a clip, and when it is shown, in seconds from the beginning of the clip."""

    time_s: float
    image: Image.Image


def read_frames(
    path: Path, frame_rate_hz: float, *, max_duration_s: float = math.inf
) -> Iterator[Frame]:
    """Sample frames on a regular time grid, whatever the file's own frame rate.

    The frame taken at ``k / frame_rate_hz`` is the one on screen at that moment; a frame that is on
    screen for several grid points is taken once, and the first one wherever it lies. A still image
    gives one frame. What is done to a picture: `features.media.pictures`.

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
        `max_duration_s`, or when pictures exceed the bounds of `check_size`. At the end also when
        too few of the promised frames came, or of the promised time, or of those that came in the
        order of time (`features.media.files.MIN_DECODED_SHARE`), or when they came faster than
        `MAX_FRAME_RATE_HZ`.
    """
    with open_media(path, step="decode") as container:
        still = read_still(path, container) if is_still_image(container) else None
        if still is None:
            shown = _decoded(container)
        else:
            shown = ((time_s, length_s, picture.copy) for time_s, length_s, picture in still)
        yield from _sampled(shown, frame_rate_hz, max_duration_s)


def _sampled(
    shown: Iterable[_Shown], frame_rate_hz: float, max_duration_s: float
) -> Iterator[Frame]:
    distance_s = 1 / Fraction(frame_rate_hz).limit_denominator(_FINEST_RATE)
    last_s = end_s = point_s = Fraction(0)  # of the last picture; the next point of the grid
    draw: Callable[[], Image.Image] | None = None  # the last picture
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


def _decoded(container: InputContainer) -> Iterator[_Shown]:
    """Yield the frames that come in the order of time, in clip time; then check their number."""
    video = video_stream(container)
    if video is None:
        raise MediaError("stream", "the clip has no video")
    check_codec(video)
    # Workers decode different clips side by side: threads inside one clip would only compete.
    video.codec_context.thread_count = 1
    check_size(video.codec_context.width, video.codec_context.height)
    screen = Screen(video, is_still=is_still_image(container))
    # Pictures of AVI have no times of their own: FFmpeg makes them up, and is wrong with B-frames.
    is_avi = container.format.name == "avi"
    ticks: int | None = None
    zero_s = None if is_avi else clip_start_s(container)
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
    check_end(video, float(end_s))
    n_promised = 0 if is_avi else _n_promised(video)
    check_share(n_decoded, n_promised, "only {} of {} frames decode")
    check_share(n_in_order, n_decoded, "only {} of {} frames are in the order of time")
    if n_decoded - 1 > MAX_FRAME_RATE_HZ * (last_s - first_s):
        reason = f"{n_decoded} frames within {float(last_s - first_s):.3g} s"
        raise MediaError("decode", f"{reason}: the time stamps are damaged")


def _n_promised(stream: VideoStream) -> int:
    """Frames that the header promises to show; 0 when it does not say.

    A clip that was trimmed without encoding anew holds frames before its first shown one. AVI
    counts places for frames, and leaves some empty where frames are shown for longer.
    """
    if stream.frames and stream.duration and stream.time_base and stream.average_rate:
        shown = round(stream.duration * stream.time_base * stream.average_rate)
        return min(stream.frames, shown)
    return stream.frames
