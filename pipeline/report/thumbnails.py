"""A small picture of a clip, as a data URI: one frame from its middle."""

import base64
import io
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from features.extraction.workers import WorkerError, Workers
from features.media.frames import read_frames
from features.media.remote import local_file
from features.places import address_of

_SIZE_PX = (192, 144)
_QUALITY = 70
_FRAME_RATE_HZ = 1.0
_LIMIT_S = 20.0


def thumbnails(files: Mapping[str, tuple[Path, float]]) -> dict[str, str]:
    """Return a JPEG of each clip, small enough for a page, as a data URI by clip id.

    A clip without a readable picture is left out: a report must not fail for one.

    Parameters
    ----------
    files : mapping of str to (Path, float)
        By clip id: the media file, and its length in seconds.
    """
    found: dict[str, str] = {}
    with Workers(1) as workers:
        for name, (path, duration_s) in files.items():
            if path.is_file() or address_of(path):
                with suppress(WorkerError):
                    found[name] = workers.call(_picture, (path, duration_s / 2), limit_s=_LIMIT_S)
    return found


def _picture(work: tuple[Path, float]) -> str:
    """Return the frame on screen at a time of the clip, in a worker that can be killed."""
    path, at_s = work
    chosen = None
    for frame in read_frames(local_file(path), _FRAME_RATE_HZ):
        if chosen is not None and frame.time_s > at_s:
            break
        chosen = frame.image
    if chosen is None:
        raise ValueError("the clip has no picture")
    picture = chosen.convert("RGB")
    picture.thumbnail(_SIZE_PX)
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode('ascii')}"
