"""The clip table: which media files there are, and what their headers say."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import rich.progress
from rich.console import Console

from features.errors import EncoderError, MediaError
from features.extraction.reading import examine_clip
from features.extraction.workers import Failure, Finished, Workers
from features.places import PlaceError, address_of

_PROBE_LIMIT_S = 300.0  # most of it for hashing: a slow disk reads 15 GB in it

_ROWS_AT_ONCE = 10_000  # as Python objects

_DTYPES = {
    "clip_id": "string",
    "path": "string",
    "sha256": "string",
    "duration_s": "float64",
    "frame_rate_hz": "float64",
    "has_video": "bool",
    "has_audio": "bool",
    "error_step": "string",
    "error_reason": "string",
}


def index_files(
    paths: Mapping[str, Path | None], *, workers: Workers | None = None, progress: bool = True
) -> pd.DataFrame:
    """Hash and probe media files in worker processes.

    An object store with media that does not answer is a PlaceError.

    Parameters
    ----------
    paths : mapping of str to Path or None
        From clip id to file or address; None for a clip without media, which has no streams.
    workers : Workers, optional
        Those that do it; default: new ones, which end with it.
    progress : bool
        Show a progress bar on standard error.

    Returns
    -------
    DataFrame
        In the order of `paths`: ``clip_id, path, sha256, duration_s, frame_rate_hz, has_video,
        has_audio, error_step, error_reason``. A file that cannot be used stays in the table, with
        the last two filled and no streams.
    """
    rows: dict[str, dict[str, object]] = {each: {"clip_id": _as_text(each)} for each in paths}
    files = []
    for clip_id, path in paths.items():
        if path is None:
            continue
        rows[clip_id]["path"] = _as_text(path)
        if rows[clip_id]["path"] == (address_of(path) or path.as_posix()):
            files.append((clip_id, path))
        else:
            rows[clip_id] |= _failed("read", "the file's name is not UTF-8: rename it")
    with (
        nullcontext(workers) if workers else Workers() as examiners,
        examiners.run(examine_clip, files, stall_limit_s=_PROBE_LIMIT_S) as events,
        clip_progress("index", len(files), shown=progress) as advance,
    ):
        for (clip_id, _), event in events:
            if isinstance(event, Finished):
                advance(1)
                error = event.failure and clip_error(event.failure, "probe")
                rows[clip_id] |= _failed(error.step, error.reason) if error else event.result
    table = pd.DataFrame([*rows.values()], columns=list(_DTYPES))
    for column in ("has_video", "has_audio"):
        table[column] = table[column].eq(True)
    return table.astype(_DTYPES)


class Clip(NamedTuple):
    """One row of the clip table, as far as extraction needs it.

    The `path` is the media file, its address, or the words of a clip of words (see
    `features.transcripts.clips_of_words`); None where there is none, as beside imported features.
    The digest `sha256` of its bytes is empty when they could not be read, or there are none; the
    `error` says why the file cannot be used at all.
    """

    clip_id: str
    path: str | None
    sha256: str
    has_video: bool
    has_audio: bool
    error: MediaError | None


def iterate_clips(table: pd.DataFrame) -> Iterator[Clip]:
    """Yield the rows of a clip table in their order."""
    names = ("clip_id", "path", "sha256", "has_video", "has_audio", "error_step", "error_reason")
    for first in range(0, len(table), _ROWS_AT_ONCE):
        part = table.iloc[first : first + _ROWS_AT_ONCE]
        columns = (part[name].astype(object).where(part[name].notna(), None) for name in names)
        for clip_id, path, sha256, has_video, has_audio, step, reason in zip(*columns, strict=True):
            error = MediaError(step, reason) if step else None
            yield Clip(clip_id, path or None, sha256 or "", bool(has_video), bool(has_audio), error)


def clip_error(failure: Failure, step: str) -> MediaError:
    """Say what failed a clip that a worker was busy with, at a step if the failure says none.

    What is no fault of the clip, an EncoderError or a PlaceError, is raised: every other clip would
    fail as well.
    """
    if isinstance(failure.error, EncoderError | PlaceError):
        raise failure.error
    if isinstance(failure.error, MediaError):
        return failure.error
    return MediaError(step, failure.reason)


@contextmanager
def clip_progress(what: str, n_clips: int, *, shown: bool) -> Iterator[Callable[[int], None]]:
    """Show on standard error how many clips are done; yields what to call when some more are."""
    counts = rich.progress.BarColumn(), rich.progress.MofNCompleteColumn()
    columns = rich.progress.TextColumn(what), *counts, _Rate(), rich.progress.TimeRemainingColumn()
    bars = rich.progress.Progress(
        *columns, console=Console(stderr=True), disable=not shown or not n_clips
    )
    with bars:
        bar = bars.add_task(what, total=n_clips)
        yield lambda n: bars.advance(bar, n)


class _Rate(rich.progress.ProgressColumn):
    """Clips per second, of the whole cluster where there is one."""

    def render(self, task: rich.progress.Task) -> str:
        return f"{task.speed or 0:.3g}/s"


def _as_text(name: str | Path) -> str:
    """Write a name so that a table can hold it: file names on Linux are bytes, not always text."""
    if isinstance(name, Path):
        name = address_of(name) or name
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _failed(step: str, reason: str) -> dict[str, object]:
    return {"error_step": step, "error_reason": reason}
