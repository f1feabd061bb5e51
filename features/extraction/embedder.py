"""The loop: workers read each clip once for all encoders, batches across clips are embedded."""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.encoders.base import Model
from features.errors import MediaError
from features.extraction.encoder_run import EncoderRun
from features.extraction.index import clip_error, clip_progress, iterate_clips
from features.extraction.reading import ClipToRead, Pieces, read_clip
from features.extraction.workers import Finished, Restarted, Workers

STALL_LIMIT_S = 300.0
"""A decode worker that hands over nothing for so long is stuck; 32 frames take it a second.

For sound it has the sound's length on top.
"""

_NICENESS = 19  # an encoder on the same processors must never wait for a decoder


class Embedder(AbstractContextManager["Embedder"]):
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
        takers_of_clip = plan(clips, runs, max_duration_s)
        if not takers_of_clip:
            return
        reading = self.workers.run(
            read_clip,
            takers_of_clip,
            stall_limit_s=STALL_LIMIT_S,
            task_limit_s=self._clip_limit_s,
        )
        bar = clip_progress("extract", len(takers_of_clip), shown=progress)
        with reading as events, bar as advance:
            # Networks are loaded while the workers read.
            needed = {run for takers in takers_of_clip.values() for _, run in takers}
            batchers = {run: Batcher(self._model(run), run.keep) for run in runs if run in needed}
            for clip, event in events:
                for number, run in takers_of_clip[clip]:
                    batcher = batchers[run]
                    if isinstance(event, Pieces):
                        if event.number == number:
                            batcher.add(clip.sha256, event.time_s, event.values)
                    elif isinstance(event, Restarted):
                        batcher.discard(clip.sha256)
                    elif error := _error(event, number):
                        batcher.discard(clip.sha256)
                        run.failed[clip.sha256] = error
                    else:
                        batcher.end(clip.sha256, event.result.face_share.get(number))
                if isinstance(event, Finished):
                    advance()
            for batcher in batchers.values():
                batcher.flush()

    def _model(self, run: EncoderRun) -> Model | None:
        if run.identity not in self._models:
            self._models[run.identity] = run.encoder.load_model()
        return self._models[run.identity]


def plan(
    clips: pd.DataFrame, runs: Sequence[EncoderRun], max_duration_s: float = math.inf
) -> dict[ClipToRead, list[tuple[int, EncoderRun]]]:
    """Find the clips that some cache lacks, each content once.

    Returns
    -------
    dict of ClipToRead to list of (int, EncoderRun)
        Who takes pieces of the clip, and the number of their kind among the clip's.
    """
    takers: dict[str, list[EncoderRun]] = {}
    paths: dict[str, list[Path]] = {}
    for clip in iterate_clips(clips):
        if clip.path is None:
            continue
        if clip.sha256 not in paths:
            takers[clip.sha256] = [run for run in runs if run.lacks(clip)]
        paths.setdefault(clip.sha256, []).append(clip.path)  # of copies too, should one be gone
    planned = {}
    for sha256, some in takers.items():
        kinds = tuple(dict.fromkeys(run.pieces for run in some))
        if kinds:
            clip_to_read = ClipToRead(tuple(paths[sha256]), sha256, kinds, max_duration_s)
            planned[clip_to_read] = [(kinds.index(run.pieces), run) for run in some]
    return planned


Keep = Callable[[str, NDArray[np.float64], NDArray[np.float32], float | None], None]


@dataclass
class _Clip:
    """A clip whose pieces are on their way through a model."""

    time_s: list[NDArray[np.float64]] = field(default_factory=list)
    rows: list[NDArray[np.float32]] = field(default_factory=list)
    n_missing: int = 0
    has_ended: bool = False
    face_share: float | None = None


class Batcher:
    """Fills batches across clips and hands each clip on when all of it is embedded.

    Parameters
    ----------
    model : Model or None
        What embeds the batches; None for pieces that are embeddings already.
    keep : callable
        Called with the clip's digest, the times of its pieces (n,), their embeddings
        (n, dimension), and the share of its frames with a face.
    """

    def __init__(self, model: Model | None, keep: Keep) -> None:
        self._model = model
        self._keep = keep
        self._clips: dict[str, _Clip] = {}
        self._batch: NDArray[Any] | None = None
        self._owners: list[tuple[_Clip, int]] = []  # whose pieces the batch holds, and how many
        self._n_filled = 0
        self._running: Callable[[], None] | None = None  # waits for the batch before

    def add(self, sha256: str, time_s: NDArray[np.float64], pieces: NDArray[Any]) -> None:
        """Queue pieces (n, ...) of a clip, in the order of time."""
        clip = self._clips.setdefault(sha256, _Clip())
        clip.time_s.append(time_s)
        if self._model is None:
            clip.rows.append(pieces)
            return
        clip.n_missing += len(pieces)
        while len(pieces):
            if self._batch is None:
                self._batch = self._model.new_batch(pieces.shape[1:])
            n = min(len(self._batch) - self._n_filled, len(pieces))
            self._batch[self._n_filled : self._n_filled + n] = pieces[:n]
            self._owners.append((clip, n))
            self._n_filled += n
            pieces = pieces[n:]
            if self._n_filled == len(self._batch):
                self._submit(self._model)

    def end(self, sha256: str, face_share: float | None = None) -> None:
        """Say that no more pieces of this clip follow."""
        clip = self._clips.setdefault(sha256, _Clip())
        clip.has_ended, clip.face_share = True, face_share
        self._hand_on()

    def discard(self, sha256: str) -> None:
        """Forget a clip; what of it is in a batch already comes to nothing."""
        self._clips.pop(sha256, None)

    def flush(self) -> None:
        """Embed what is queued, even if it does not fill a batch."""
        if self._model is not None and self._n_filled:
            self._submit(self._model)
        self._collect()

    def _submit(self, model: Model) -> None:
        assert self._batch is not None  # something is in it
        wait, owners = model.submit(self._batch[: self._n_filled]), self._owners
        self._collect()  # the batch before: while this one runs, if the model runs beside us
        self._running = lambda: self._share_out(wait(), owners)
        self._batch, self._owners, self._n_filled = None, [], 0
        if not model.runs_beside:
            self._collect()

    def _collect(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running()

    def _share_out(self, rows: NDArray[np.float32], owners: list[tuple[_Clip, int]]) -> None:
        for clip, n in owners:
            clip.rows.append(rows[:n])
            clip.n_missing -= n
            rows = rows[n:]
        self._hand_on()

    def _hand_on(self) -> None:
        done = [key for key, clip in self._clips.items() if clip.has_ended and not clip.n_missing]
        for key in done:
            clip = self._clips.pop(key)
            if clip.rows:
                time_s, rows = np.concatenate(clip.time_s), np.concatenate(clip.rows)
                self._keep(key, time_s, rows, clip.face_share)


def _error(event: Finished, number: int) -> MediaError | None:
    """Why a clip that was read has no pieces of a kind, or not all."""
    if event.failure is not None:
        return clip_error(event.failure, "decode")
    error: MediaError | None = event.result.errors.get(number)
    return error
