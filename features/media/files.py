"""What a media file holds, with PyAV; `frames` and `sound` beside it read what it shows.

Nothing here is protected against a decoder that hangs or crashes: call it through
`features.extraction.workers`, which can kill it.
"""

import contextlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import Container, InputContainer
from av.video.stream import VideoStream

from features.errors import MediaError
from features.files import file_sha256, known_stand_in

MIN_DECODED_SHARE = 0.9  # less of the promised frames or sound: the file is damaged
BARE_SOUND = {"aac", "ac3", "amr", "dts", "eac3", "mp3"}  # FFmpeg makes up their times
_SAY_LENGTH = {"au", "flac", "nistsphere", "tta", "wv"}  # of others FFmpeg guesses it

_SIZE_AT = {b"RIFF": slice(4, 8), b"RF64": slice(20, 28), b"riff": slice(16, 24)}
"""Where WAV and AVI, and the two kinds of long WAV, say how many bytes there are."""

_STREAMED_BYTES = 0x7FFF0000  # who claims so many did not know, or nearly fills them
_RUN_IN_FRAMES = 3  # of sound, which an encoder may put before its beginning, and nobody plays
_DRAW_ON_GREY = {"flv", "h263", "mpeg4", "msmpeg4", "msmpeg4v2", "rv10", "wmv1", "wmv2"}
"""Decoders that show changes to a picture they never saw; others wait for a whole one."""

_POINTERS = {"concat", "dash", "hls", "imf", "rtp", "rtsp", "sap", "sdp", "webm_dash_manifest"}
_FORMATS = ",".join(sorted(av.formats_available - _POINTERS))
"""Without those that name other files or addresses: a clip is its own bytes and nothing else."""

_Is = av.stream.Disposition
_NO_PICTURES = _Is.attached_pic | _Is.timed_thumbnails | _Is.dependent
_FOR_FEW = _Is.comment | _Is.visual_impaired | _Is.descriptions | _Is.karaoke | _Is.clean_effects
_STILL_BRANDS = {"avif", "avis", "heic", "heim", "heis", "heix", "mif1"}
_LENGTH = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class MediaInfo:
    """What a file holds.

    Attributes
    ----------
    duration_s : float or None
        Length in seconds, found by reading where the header does not say; None for a still image.
    frame_rate_hz : float or None
        Average frame rate; None without video and for a still image.
    has_video, has_audio : bool
        Whether there is a stream of that kind. Cover art does not count as video.
    """

    duration_s: float | None
    frame_rate_hz: float | None
    has_video: bool
    has_audio: bool


def probe(path: Path) -> MediaInfo:
    """Read the header of a media file.

    Raises
    ------
    MediaError
        Step ``probe`` when the file is no media file, or has neither video nor sound.
    """
    with open_media(path, step="probe") as container:
        if is_still_image(container) and container.streams.video:
            return MediaInfo(None, None, has_video=True, has_audio=False)
        video = video_stream(container)
        has_audio = bool(container.streams.audio)
        if video is None and not has_audio:
            raise MediaError("probe", "the file has neither a video nor an audio stream")
        duration_s = container.duration / av.time_base if container.duration else None
        if duration_s is None or container.format.name in BARE_SOUND:  # there it is guessed
            duration_s = _read_duration_s(container)
        rate = video.average_rate if video is not None else None
        return MediaInfo(duration_s, float(rate) if rate else None, video is not None, has_audio)


def clip_sha256(path: Path) -> str:
    """SHA-256 of a clip's bytes, in hex; raises `MediaError`, step ``read``, if unreadable."""
    try:
        return file_sha256(path)
    except FileNotFoundError:
        raise MediaError("read", f"there is no file {path}") from None
    except OSError as error:
        raise MediaError("read", f"{path} cannot be read: {error.strerror}") from None


def check_duration(path: Path, max_duration_s: float) -> None:
    """Raise `MediaError`, step ``probe``, when the header says that a clip lasts longer."""
    duration_s = None if math.isinf(max_duration_s) else probe(path).duration_s
    if duration_s is not None and duration_s > max_duration_s:
        reason = f"the clip lasts {duration_s:.1f} s, more than {max_duration_s:g} s"
        raise MediaError("probe", reason)


@contextlib.contextmanager
def open_media(path: Path, step: str) -> Iterator[InputContainer]:
    """Open a media file; what FFmpeg raises within the context is a `MediaError`.

    `step` is the one that has failed when the file cannot be opened.
    """
    # Without the pattern, frame%d.png would be every picture of that name.
    options = {"format_whitelist": _FORMATS, "pattern_type": "none"}
    try:
        # Absolute, for the name 12:30.mp4 would be one of a protocol.
        container = av.open(path.absolute(), options=options, metadata_errors="replace")
    except FileNotFoundError:
        raise MediaError("read", f"there is no file {path}") from None
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = known_stand_in(path) or getattr(error, "strerror", None) or error
        raise MediaError(step, f"not a media file that FFmpeg can read: {reason}") from None
    try:
        with container:
            _check_bytes(path, step)
            yield container
    except av.FFmpegError as error:
        raise MediaError("decode", f"FFmpeg cannot go on: {error.strerror or error}") from None


def video_stream(container: InputContainer) -> VideoStream | None:
    """Return the video stream that a player shows; None without one.

    Cover art, thumbnails and tiles are none. The one marked as default is preferred, then moving
    pictures before a still one, then the largest, then the first.
    """
    streams = [s for s in container.streams.video if not s.disposition & _NO_PICTURES]
    return max(streams, key=_rank, default=None)  # of equal ones the first


def audio_streams(container: InputContainer) -> list[AudioStream]:
    """List the audio streams, the one that a player plays first.

    Comments, descriptions and the like come last; the one marked as default is preferred, then the
    first.
    """
    return sorted(container.streams.audio, key=_rank, reverse=True)


def is_still_image(container: Container) -> bool:
    """Tell whether a file is a still picture, by its format."""
    name = container.format.name
    brand = container.metadata.get("major_brand", "")
    return name == "image2" or name.endswith("_pipe") or brand in _STILL_BRANDS


def clip_start_s(container: InputContainer) -> Fraction | None:
    """Return when the clip begins, by the file's own clock: with its earliest stream.

    Sound before 0 is an encoder's run-in, which is not played. None when the file does not say.
    """
    starts_s = []
    for stream in (video_stream(container), *audio_streams(container)[:1]):
        if stream is not None and stream.start_time is not None and stream.time_base is not None:
            start_s = Fraction(stream.start_time * stream.time_base)
            starts_s.append(max(start_s, Fraction(0)) if stream.type == "audio" else start_s)
    return min(starts_s, default=None)


def decode_packets(container: InputContainer, stream: Any) -> Iterator[Any]:
    """Decode packet by packet, so that one damaged packet costs its own frames only."""
    begin = None if stream.codec_context.name in _DRAW_ON_GREY else -math.inf
    for packet in container.demux(stream):
        if begin is None and not packet.is_keyframe:
            continue
        if begin is None:
            begin = -math.inf if packet.pts is None else packet.pts
        try:
            frames = packet.decode()
        except av.FFmpegError:
            continue
        yield from (frame for frame in frames if frame.pts is None or frame.pts >= begin)


def check_codec(stream: Any) -> None:
    """Raise `MediaError` for a stream that FFmpeg cannot decode."""
    if stream.codec_context is None:
        raise MediaError("decode", f"FFmpeg has no decoder for the {stream.type} stream")


def check_share(came: float, promised: float, reason: str) -> None:
    """Raise `MediaError` when less than `MIN_DECODED_SHARE` of what was promised came."""
    if came < MIN_DECODED_SHARE * promised:
        raise MediaError("decode", f"{reason.format(came, promised)}: the file is damaged")


def check_whole(stream: Any, end_s: float, decoded_s: float, frame_s: float) -> None:
    """Raise `MediaError` for a stream of which less decoded than its header promises.

    `end_s` is when what decoded last ends, by the file's own clock; `decoded_s` the length of all
    frames that decoded, without gaps between them, and `frame_s` that of the longest.
    """
    container, promised_s = stream.container, 0.0
    name = container.format.name
    if promised := _LENGTH.fullmatch(stream.metadata.get("DURATION", "")):  # Matroska and WebM
        hours, minutes, seconds = map(float, promised.groups())
        promised_s = 3600 * hours + 60 * minutes + seconds
    elif name in _SAY_LENGTH or (name == "mp3" and stream.start_time):  # LAME's header moves it
        promised_s = (container.duration or 0) / av.time_base
    check_share(end_s, promised_s, f"the {stream.type} ends after {{:.2f}} of {{:.2f}} s")
    # AVI counts places for frames, and leaves some empty where frames are shown for longer.
    if stream.frames and stream.duration and stream.time_base and name != "avi":
        n_run_in = _RUN_IN_FRAMES if stream.type == "audio" else 0
        length_s = float(stream.duration * stream.time_base)
        # A clip that was trimmed without encoding anew holds frames before its first shown one.
        promised_s = min(length_s, (stream.frames - n_run_in) * frame_s)
        reason = f"only {{:.2f}} of {{:.2f}} s of the {stream.type} decode"
        check_share(decoded_s, promised_s, reason)


def _check_bytes(path: Path, step: str) -> None:
    """Raise `MediaError` for a WAV or AVI file that is shorter than it says."""
    with path.open("rb") as file:
        head = file.read(28)
    promised = int.from_bytes(head[_SIZE_AT.get(head[:4], slice(0))], "little")
    came = path.stat().st_size
    if promised < _STREAMED_BYTES and came < MIN_DECODED_SHARE * promised:
        reason = f"only {came} of {promised} bytes are there: its recording or copy was cut off"
        raise MediaError(step, reason)


def _rank(stream: Any) -> tuple[bool, bool, bool, bool, int]:
    """Higher for what a player prefers."""
    codec, is_default = stream.codec_context, bool(stream.disposition & _Is.default)
    if stream.type == "audio":
        return codec is not None, not stream.disposition & _FOR_FEW, is_default, False, 0
    area = codec.width * codec.height if codec else 0
    return codec is not None, True, is_default, stream.frames != 1, area


def _read_duration_s(container: InputContainer) -> float | None:
    """Find out how long a file is by reading its packets, which decodes nothing."""
    times_s, n_untimed = [], 0
    with contextlib.suppress(av.FFmpegError):
        for packet in container.demux():
            if packet.pts is not None and packet.time_base is not None:
                ends = packet.pts, packet.pts + (packet.duration or 0)
                times_s += [float(each * packet.time_base) for each in ends]
            else:
                n_untimed += packet.size > 0
    if times_s and max(times_s) > min(times_s):
        return max(times_s) - min(times_s)
    rate = next((stream.average_rate for stream in container.streams.video), None)
    return float(n_untimed / rate) if rate and n_untimed else None  # raw video has no times
