"""Embedding pictures that arrive in pieces: batches across clips in, whole clips out."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from features.encoders.base import FrameModel

Key = TypeVar("Key")
Keep = Callable[[Key, NDArray[np.float64], NDArray[np.float32]], None]


@dataclass
class _Clip:
    """A clip whose pictures are on their way through the model."""

    time_s: list[NDArray[np.float64]] = field(default_factory=list)
    rows: list[NDArray[np.float32]] = field(default_factory=list)
    n_missing: int = 0
    has_ended: bool = False


class Batcher(Generic[Key]):
    """Fills batches across clips and hands each clip on when all of it is embedded.

    Parameters
    ----------
    model : FrameModel
        What embeds the batches.
    keep : callable
        Called with the clip's key, the times of its pictures (n,) and their embeddings
        (n, dimension).
    """

    def __init__(self, model: FrameModel, keep: Keep[Key]) -> None:
        self._model = model
        self._keep = keep
        self._clips: dict[Key, _Clip] = {}
        self._batch: NDArray[np.uint8] | None = None
        self._owners: list[tuple[_Clip, int]] = []  # whose pictures the batch holds, and how many
        self._n_filled = 0
        self._running: tuple[Callable[[], NDArray[np.float32]], list[tuple[_Clip, int]]] | None
        self._running = None

    def add(self, key: Key, time_s: NDArray[np.float64], pictures: NDArray[np.uint8]) -> None:
        """Queue pictures (n, 3, height, width) of a clip, in the order of time."""
        clip = self._clips.setdefault(key, _Clip())
        clip.time_s.append(time_s)
        clip.n_missing += len(pictures)
        while len(pictures):
            if self._batch is None:
                self._batch = self._model.new_batch(pictures.shape[1:])
            n = min(len(self._batch) - self._n_filled, len(pictures))
            self._batch[self._n_filled : self._n_filled + n] = pictures[:n]
            self._owners.append((clip, n))
            self._n_filled += n
            pictures = pictures[n:]
            if self._n_filled == len(self._batch):
                self._submit()

    def end(self, key: Key) -> None:
        """Say that no more pictures of this clip follow."""
        self._clips.setdefault(key, _Clip()).has_ended = True
        self._hand_on()

    def discard(self, key: Key) -> None:
        """Forget a clip; what of it is in a batch already comes to nothing."""
        self._clips.pop(key, None)

    def flush(self) -> None:
        """Embed what is queued, even if it does not fill a batch."""
        if self._n_filled:
            self._submit()
        self._collect()

    def _submit(self) -> None:
        assert self._batch is not None  # something is in it
        running = (self._model.submit(self._batch[: self._n_filled]), self._owners)
        self._collect()  # the batch before: while this one runs, if the model runs beside us
        self._running = running
        self._batch, self._owners, self._n_filled = None, [], 0
        if not self._model.runs_beside:
            self._collect()

    def _collect(self) -> None:
        if self._running is None:
            return
        wait, owners = self._running
        self._running = None
        rows = wait()
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
                self._keep(key, np.concatenate(clip.time_s), np.concatenate(clip.rows))
