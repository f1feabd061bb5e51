"""The loop: workers read each clip once for all encoders, batches across clips are embedded."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pandas as pd

from features.encoders.base import Model
from features.extraction.batches import Batcher
from features.extraction.encoder_run import EncoderRun
from features.extraction.index import iterate_clips
from features.extraction.progress import clip_progress
from features.extraction.reading import ClipToRead, Pieces, clip_error, read_clip
from features.extraction.workers import Finished, Restarted, Workers

STALL_LIMIT_S = 300.0
"""A decode worker that hands over nothing for so long is stuck; 32 frames take it a second.

For sound it has the sound's length on top.
"""

_NICENESS = 19  # an encoder on the same processors must never wait for a decoder


class Embedder:
    """Embeds clips. Its decode workers and loaded networks stay from one call to the next.

    Close it, or use it as a context manager. One call at a time.

    Parameters
    ----------
    clip_limit_s : float
        Longest time that reading one clip may take; without it a clip may take any time, as long
        as it hands over pieces.

    Attributes
    ----------
    workers : Workers
        Its decode workers, for other work between calls.
    """

    def __init__(self, *, clip_limit_s: float = math.inf) -> None:
        self.workers = Workers(niceness=_NICENESS)
        self._clip_limit_s = clip_limit_s
        self._models: dict[str, Model | None] = {}  # by identity

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers and let go of the networks."""
        self.workers.close()
        self._models.clear()

    def embed(
        self,
        clips: pd.DataFrame,
        runs: Sequence[EncoderRun],
        *,
        max_duration_s: float = math.inf,
        progress: bool,
    ) -> None:
        """Embed what the caches of the runs lack, or note in them why it cannot be.

        What is finished is on disk at once: a run that ends early, however it ends, loses the clips
        that are in batches.

        Parameters
        ----------
        clips : DataFrame
            The clip table.
        runs : sequence of EncoderRun
            The encoders.
        max_duration_s : float
            Longer clips fail; what their headers say is not trusted.
        progress : bool
            Show a progress bar on standard error.

        Raises
        ------
        EncoderError
            When an encoder cannot be loaded.
        OSError
            When a cache cannot be written.
        """
        lacking = plan(clips, runs, max_duration_s)
        if not lacking:
            return
        reading = self.workers.run(
            read_clip,
            [each.clip for each in lacking.values()],
            stall_limit_s=STALL_LIMIT_S,
            task_limit_s=self._clip_limit_s,
        )
        with reading as events, clip_progress("extract", len(lacking), shown=progress) as advance:
            # Networks are loaded while the workers read.
            needed = {run.identity for each in lacking.values() for run in each.runs}
            batchers = {
                run: Batcher(self._model(run), run.keep) for run in runs if run.identity in needed
            }
            for clip, event in events:
                _take(lacking[clip.sha256], event, batchers)
                if isinstance(event, Finished):
                    advance()
            for batcher in batchers.values():
                batcher.flush()

    def _model(self, run: EncoderRun) -> Model | None:
        if run.identity not in self._models:
            self._models[run.identity] = run.encoder.load_model()
        return self._models[run.identity]


@dataclass(frozen=True)
class LackingClip:
    """A clip to read, and for which encoders."""

    clip: ClipToRead
    runs: Sequence[EncoderRun]

    def number(self, run: EncoderRun) -> int:
        """Which kind of the clip's pieces an encoder takes."""
        return self.clip.kinds.index(run.pieces)


def plan(
    clips: pd.DataFrame, runs: Sequence[EncoderRun], max_duration_s: float = math.inf
) -> dict[str, LackingClip]:
    """Find the clips that some cache lacks, each content once, by digest."""
    lacking: dict[str, list[EncoderRun]] = {}
    paths: dict[str, list[Path]] = {}
    for clip in iterate_clips(clips):
        if clip.path is None:
            continue
        if clip.sha256 not in paths:
            lacking[clip.sha256] = [run for run in runs if run.lacks(clip)]
        paths.setdefault(clip.sha256, []).append(clip.path)  # of copies too, should one be gone
    return {
        sha256: LackingClip(
            ClipToRead(
                tuple(paths[sha256]),
                sha256,
                tuple(dict.fromkeys(run.pieces for run in some)),
                max_duration_s,
            ),
            some,
        )
        for sha256, some in lacking.items()
        if some
    }


def _take(lacking: LackingClip, event: Any, batchers: dict[EncoderRun, Batcher]) -> None:
    """Give what a worker hands over of a clip to those who take it."""
    sha256 = lacking.clip.sha256
    for run in lacking.runs:
        batcher, number = batchers[run], lacking.number(run)
        if isinstance(event, Pieces):
            if event.number == number:
                batcher.add(sha256, event.time_s, event.values)
            continue
        if isinstance(event, Restarted):
            batcher.discard(sha256)
            continue
        error = clip_error(event.failure, "decode") if event.failure else None
        error = error or event.result.errors.get(number)
        if error is None:
            batcher.end(sha256, event.result.face_share.get(number))
        else:
            batcher.discard(sha256)
            run.fail(sha256, error)
