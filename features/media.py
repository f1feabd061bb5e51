"""What a media file holds, and its frames by time, with PyAV; `features.sound` reads its sound.

Nothing here is protected against a decoder that hangs or crashes: call it through
`features.workers`, which can kill it.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from PIL import Image

MIN_DECODED_SHARE = 0.9
"""A clip of which less than this share of the promised frames or sound decodes is damaged."""

MAX_FRAME_PX = 64_000_000
"""Larger pictures than this (8000 x 8000) are refused: decoding one takes a worker's memory."""

MAX_ASPECT = 500
"""Longer or wider pictures are refused: scaled by the shorter side, they fill the memory."""

MAX_FRAME_RATE_HZ = 1000.0
"""Frames that follow each other faster than this on the whole have damaged time stamps."""

_POINTERS = {"concat", "dash", "hls", "imf", "rtp", "rtsp", "sap", "sdp", "webm_dash_manifest"}
_FORMATS = ",".join(sorted(av.formats_available - _POINTERS))
"""Without those that name other files or addresses: a clip is its own bytes and nothing else."""


class MediaError(Exception):
    """A clip that cannot be used, with the step that failed and the reason.

    Parameters
    ----------
    step : str
        What was being done: ``read``, ``probe``, ``decode``, ``face``, ``encode``, or ``stream``
        when the clip is whole but has no stream of the wanted kind.
    reason : str
        What was wrong, for a person to read.
    """

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(step, reason)  # both, so that the error survives pickling
        self.step = step
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.step}: {self.reason}"


@dataclass(frozen=True)
class MediaInfo:
    """What a file's header says.

    Attributes
    ----------
    duration_s : float or None
        Length in seconds; None for a still image or when the header does not say.
    frame_rate_hz : float or None
        Average frame rate; None without video and for a still image.
    has_video, has_audio : bool
        Whether there is a stream of that kind. Cover art does not count as video.
    """

    duration_s: float | None
    frame_rate_hz: float | None
    has_video: bool
    has_audio: bool


@dataclass(frozen=True)
class Frame:
    """A picture of a clip, and when it is shown, in seconds from the first frame."""

    time_s: float
    image: Image.Image


def probe(path: Path) -> MediaInfo:
    """Read the header of a media file.

    Raises
    ------
    MediaError
        Step ``probe`` when the file is no media file, or has neither video nor sound.
    """
    with open_media(path, step="probe") as container:
        video = _video_stream(container)
        has_audio = bool(container.streams.audio)
        if video is None and not has_audio:
            raise MediaError("probe", "the file has neither a video nor an audio stream")
        if _is_still_image(container):
            return MediaInfo(None, None, has_video=True, has_audio=False)
        duration_s = container.duration / av.time_base if container.duration else None
        rate = video.average_rate if video is not None else None
        return MediaInfo(duration_s, float(rate) if rate else None, video is not None, has_audio)


def check_duration(path: Path, max_duration_s: float) -> None:
    """Raise `MediaError`, step ``probe``, when the header says that a clip lasts longer."""
    duration_s = None if math.isinf(max_duration_s) else probe(path).duration_s
    if duration_s is not None and duration_s > max_duration_s:
        reason = f"the clip lasts {duration_s:.1f} s, more than {max_duration_s:g} s"
        raise MediaError("probe", reason)


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
        In the order of time.

    Raises
    ------
    MediaError
        Step ``stream`` without video; ``decode`` when nothing decodes, when there are frames after
        `max_duration_s`, or when pictures exceed `MAX_FRAME_PX` or `MAX_ASPECT`. At the end also
        when less than `MIN_DECODED_SHARE` of the promised frames came, or they came faster than
        `MAX_FRAME_RATE_HZ`.
    """
    with open_media(path, step="decode") as container:
        video = _video_stream(container)
        if video is None:
            raise MediaError("stream", "the clip has no video")
        check_codec(video)
        # Workers decode different clips side by side: threads inside one clip would only compete.
        video.codec_context.thread_count = 1
        _check_size(video.codec_context.width, video.codec_context.height)
        n_decoded = 0
        n_taken = 0
        start_s = 0.0
        shown: av.VideoFrame | None = None
        shown_s = last_s = 0.0
        for frame in decode_packets(container, video):
            time_s = _time_s(frame, video, n_decoded)
            if n_decoded == 0:
                start_s = time_s
            n_decoded += 1
            time_s -= start_s
            last_s = max(last_s, time_s)
            if last_s > max_duration_s:
                raise MediaError("decode", f"the pictures last more than {max_duration_s:g} s")
            if shown is not None and time_s > n_taken / frame_rate_hz:
                yield Frame(shown_s, _image(shown))
                n_taken = _grid_points_before(time_s, frame_rate_hz)
            shown, shown_s = frame, time_s
        if shown is not None and (n_taken == 0 or shown_s >= n_taken / frame_rate_hz):
            yield Frame(shown_s, _image(shown))
        _check_decoded(n_decoded, _n_promised(container, video))
        _check_frame_rate(n_decoded, last_s)


@contextmanager
def open_media(path: Path, step: str) -> Iterator[InputContainer]:
    """Open a media file; what FFmpeg raises within the context is a `MediaError`.

    Parameters
    ----------
    path : Path
        The file.
    step : str
        The step that has failed when the file cannot be opened.
    """
    try:
        # Absolute, for the name 12:30.mp4 would be one of a protocol.
        container = av.open(
            path.absolute(), options={"format_whitelist": _FORMATS}, metadata_errors="replace"
        )
    except FileNotFoundError:
        raise MediaError("read", f"there is no file {path}") from None
    except (av.FFmpegError, OSError, ValueError) as error:
        raise MediaError(step, f"not a media file that FFmpeg can read: {_reason(error)}") from None
    try:
        with container:
            yield container
    except av.FFmpegError as error:
        raise MediaError("decode", f"FFmpeg cannot go on: {_reason(error)}") from None


def decode_packets(container: InputContainer, stream: Any) -> Iterator[Any]:
    """Decode packet by packet, so that one damaged packet costs its own frames only."""
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except av.FFmpegError:
            continue


def check_codec(stream: Any) -> None:
    """Raise `MediaError` for a stream that FFmpeg cannot decode."""
    if stream.codec_context is None:
        raise MediaError("decode", f"FFmpeg has no decoder for the {stream.type} stream")


def _video_stream(container: InputContainer) -> VideoStream | None:
    cover = av.stream.Disposition.attached_pic
    return next((s for s in container.streams.video if not s.disposition & cover), None)


def _is_still_image(container: InputContainer) -> bool:
    name = container.format.name
    return name == "image2" or name.endswith("_pipe")


def _time_s(frame: av.VideoFrame, stream: VideoStream, index: int) -> float:
    if frame.pts is None:  # raw streams carry no times
        return float(index / (stream.average_rate or Fraction(25)))
    return float(frame.time)


def _grid_points_before(time_s: float, frame_rate_hz: float) -> int:
    return int(np.ceil(time_s * frame_rate_hz))


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


def _check_decoded(n_decoded: int, n_promised: int) -> None:
    if n_decoded == 0:
        raise MediaError("decode", "no frame of the video stream decodes")
    if n_decoded < MIN_DECODED_SHARE * n_promised:  # 0 promised: the header does not say
        raise MediaError(
            "decode", f"only {n_decoded} of {n_promised} frames decode: the file is damaged"
        )


def _check_frame_rate(n_decoded: int, last_s: float) -> None:
    if n_decoded - 1 > MAX_FRAME_RATE_HZ * last_s:
        reason = f"{n_decoded} frames within {last_s:.3g} s: the time stamps are damaged"
        raise MediaError("decode", reason)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
