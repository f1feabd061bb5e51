"""What a media file holds, with PyAV; `frames` and `sound` beside it read what it shows.

Nothing here is protected against a decoder that hangs or crashes: call it through
`features.extraction.workers`, which can kill it.
"""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
from av.container import InputContainer

from features.errors import MediaError as MediaError  # also for those who read clips
from features.files import file_sha256, known_stand_in
from features.media.streams import BARE_SOUND, is_still_image, video_stream

_POINTERS = {"concat", "dash", "hls", "imf", "rtp", "rtsp", "sap", "sdp", "webm_dash_manifest"}
_FORMATS = ",".join(sorted(av.formats_available - _POINTERS))
"""Without those that name other files or addresses: a clip is its own bytes and nothing else."""


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
        reason = known_stand_in(path) or _reason(error)
        raise MediaError(step, f"not a media file that FFmpeg can read: {reason}") from None
    try:
        with container:
            yield container
    except av.FFmpegError as error:
        raise MediaError("decode", f"FFmpeg cannot go on: {_reason(error)}") from None


def _read_duration_s(container: InputContainer) -> float | None:
    """Find out how long a file is by reading its packets, which decodes nothing."""
    begin_s, end_s, n_untimed = math.inf, -math.inf, 0
    with contextlib.suppress(av.FFmpegError):
        for packet in container.demux():
            if packet.pts is not None and packet.time_base is not None:
                begin_s = min(begin_s, float(packet.pts * packet.time_base))
                length = packet.duration or 0
                end_s = max(end_s, float((packet.pts + length) * packet.time_base))
            else:
                n_untimed += packet.size > 0
    if end_s > begin_s:
        return end_s - begin_s
    rate = next((stream.average_rate for stream in container.streams.video), None)
    return float(n_untimed / rate) if rate and n_untimed else None  # raw video has no times


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
