"""Batches across clips: pieces go through a model as they come, and each clip gets its own rows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from features.media.faces import FaceRows

if TYPE_CHECKING:
    from features.encoders.torch_model import TorchModel

Keep = Callable[[str, NDArray[np.float64], NDArray[np.float32], FaceRows], None]

_NO_FACES = FaceRows()


@dataclass
class _Clip:
    """A clip whose pieces are on their way through a model."""

    time_s: list[NDArray[np.float64]] = field(default_factory=list)
    rows: list[NDArray[np.float32]] = field(default_factory=list)
    n_missing: int = 0
    has_ended: bool = False
    faces: FaceRows = _NO_FACES


class Batcher:
    """Fills batches across clips and hands each clip on when all of it is embedded.

    Parameters
    ----------
    model : TorchModel or None
        What embeds the batches; None for pieces that are embeddings already.
    keep : callable
        Called with the clip's digest, the times of its pieces (n,), their embeddings
        (n, dimension), and what is known of the faces in them.
    """

    def __init__(self, model: "TorchModel | None", keep: Keep) -> None:
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

    def end(self, sha256: str, faces: FaceRows = _NO_FACES) -> None:
        """Say that no more pieces of this clip follow."""
        clip = self._clips.setdefault(sha256, _Clip())
        clip.has_ended, clip.faces = True, faces
        self._hand_on()

    def discard(self, sha256: str) -> None:
        """Forget a clip; what of it is in a batch already comes to nothing."""
        self._clips.pop(sha256, None)

    def flush(self) -> None:
        """Embed what is queued, even if it does not fill a batch."""
        if self._model is not None and self._n_filled:
            self._submit(self._model)
        self._collect()

    def _submit(self, model: "TorchModel") -> None:
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
            time_s = np.concatenate(clip.time_s or [np.empty(0)])
            rows = np.concatenate(clip.rows or [np.empty((0, 0), np.float32)])
            self._keep(key, time_s, rows, clip.faces)
