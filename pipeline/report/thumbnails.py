"""A small picture of a clip, as a data URI: one frame from its middle."""

import base64
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from features.extraction.workers import Finished, Restarted, Workers
from features.media.frames import read_frames

_SIZE_PX = (192, 144)
_QUALITY = 70
_FRAME_RATE_HZ = 1.0
_LIMIT_S = 20.0


class _Task(NamedTuple):
    clip_id: str
    path: Path
    at_s: float


def thumbnails(files: Mapping[str, tuple[Path, float]]) -> dict[str, str]:
    """Return a JPEG of each clip, small enough for a page, as a data URI by clip id.

    A clip without a readable picture is left out: a report must not fail for one.

    Parameters
    ----------
    files : mapping of str to (Path, float)
        By clip id: the media file, and its length in seconds.
    """
    there = [_Task(name, path, s / 2) for name, (path, s) in files.items() if path.is_file()]
    found: dict[str, str] = {}
    with (
        Workers(1) as workers,
        workers.run(_picture, there, stall_limit_s=_LIMIT_S) as events,
    ):
        for task, part in events:
            if not isinstance(part, Finished | Restarted):
                found[task.clip_id] = f"data:image/jpeg;base64,{part}"
    return found


def _picture(task: _Task) -> Iterator[str]:
    """Yield the frame on screen at a time of the clip, in a worker that can be killed."""
    chosen = None
    for frame in read_frames(task.path, _FRAME_RATE_HZ):
        if chosen is not None and frame.time_s > task.at_s:
            break
        chosen = frame.image
    if chosen is None:
        return
    picture = chosen.convert("RGB")
    picture.thumbnail(_SIZE_PX)
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=_QUALITY, optimize=True)
    yield base64.b64encode(content.getvalue()).decode("ascii")
