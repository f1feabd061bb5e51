"""The streams of an open media file: which are shown and heard, when they begin, their packets."""

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

from features.errors import MediaError

MIN_DECODED_SHARE = 0.9
"""A clip of which less than this share of the promised frames or sound decodes is damaged."""

_Disposition = av.stream.Disposition
_NO_PICTURES = _Disposition.attached_pic | _Disposition.timed_thumbnails | _Disposition.dependent
_FOR_FEW = (
    _Disposition.comment
    | _Disposition.visual_impaired
    | _Disposition.descriptions
    | _Disposition.karaoke
    | _Disposition.clean_effects
)
_LENGTH = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")


def video_stream(container: InputContainer) -> VideoStream | None:
    """Return the video stream that a player shows; None without one.

    Cover art, thumbnails and tiles are none. The one marked as default is preferred, then moving
    pictures before a still one, then the largest, then the first.
    """

    def rank(stream: VideoStream) -> tuple[bool, bool, bool, int]:
        codec = stream.codec_context
        area = codec.width * codec.height if codec else 0
        return codec is not None, _is_default(stream), stream.frames != 1, area

    streams = [s for s in container.streams.video if not s.disposition & _NO_PICTURES]
    return max(streams, key=rank, default=None)  # of equal ones the first


def audio_streams(container: InputContainer) -> list[AudioStream]:
    """List the audio streams, the one that a player plays first.

    Comments, descriptions and the like come last; the one marked as default is preferred, then the
    first.
    """

    def rank(stream: AudioStream) -> tuple[bool, bool, bool]:
        is_for_few = bool(stream.disposition & _FOR_FEW)
        return stream.codec_context is None, is_for_few, not _is_default(stream)

    return sorted(container.streams.audio, key=rank)


def clip_start_s(container: InputContainer) -> Fraction | None:
    """Return when the clip begins, by the file's own clock: with its earliest stream.

    Sound before 0 is an encoder's run-in, which is not played. None when the file does not say.
    """
    starts = [_start_s(video_stream(container))]
    for stream in audio_streams(container)[:1]:
        start_s = _start_s(stream)
        starts.append(None if start_s is None else max(start_s, Fraction(0)))
    return min((start_s for start_s in starts if start_s is not None), default=None)


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


def check_end(stream: Any, end_s: float) -> None:
    """Raise `MediaError` for a stream that ends long before its header says.

    Parameters
    ----------
    stream : Stream
        Only Matroska and WebM say it for each stream; they count no frames.
    end_s : float
        When what decoded last ends, by the file's own clock.
    """
    promised = _LENGTH.fullmatch(stream.metadata.get("DURATION", ""))
    if promised is None:
        return
    hours, minutes, seconds = promised.groups()
    promised_s = 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    if end_s < MIN_DECODED_SHARE * promised_s:
        raise MediaError(
            "decode",
            f"the {stream.type} ends after {end_s:.2f} of {promised_s:.2f} s: the file is damaged",
        )


def _is_default(stream: Any) -> bool:
    return bool(stream.disposition & _Disposition.default)


def _start_s(stream: Any) -> Fraction | None:
    if stream is None or stream.start_time is None or stream.time_base is None:
        return None
    return Fraction(stream.start_time * stream.time_base)
