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
    faces: FaceRows | None = None  # until it has ended


class Batcher:
    """Fills batches across clips and hands each clip on when all of it is embedded.

    The `model` embeds the batches; None is for pieces that are embeddings already. `keep` is called
    with the clip's digest, the times of its pieces (n,), their embeddings (n, dimension), and what
    is known of the faces in them.
    """

    def __init__(self, model: "TorchModel | None", keep: Keep) -> None:
        self._model = model
        self._keep = keep
        self._clips: dict[str, _Clip] = {}
        self._batch: NDArray[Any] | None = None
        self._owners: list[tuple[_Clip, int]] = []  # whose pieces the batch holds, and how many
        self._n_filled = 0
        self._finish_running: Callable[[], None] = lambda: None  # waits for the batch before

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
                self._submit()

    def end(self, sha256: str, faces: FaceRows = _NO_FACES) -> None:
        """Say that no more pieces of this clip follow."""
        self._clips.setdefault(sha256, _Clip()).faces = faces
        self._hand_on()

    def discard(self, sha256: str) -> None:
        """Forget a clip; what of it is in a batch already comes to nothing."""
        self._clips.pop(sha256, None)

    def flush(self) -> None:
        """Embed what is queued, even if it does not fill a batch."""
        self._submit()
        self._finish_running()

    def _submit(self) -> None:
        if self._model is None or self._batch is None:
            return
        wait, owners = self._model.submit(self._batch[: self._n_filled]), self._owners
        self._batch, self._owners, self._n_filled = None, [], 0
        self._finish_running()  # the one before, while this one runs, if the model runs beside us

        def finish() -> None:
            self._finish_running = lambda: None
            rows = wait()
            for clip, n in owners:
                clip.rows.append(rows[:n])
                clip.n_missing -= n
                rows = rows[n:]
            self._hand_on()

        self._finish_running = finish
        if not self._model.runs_beside:
            finish()

    def _hand_on(self) -> None:
        for key, clip in list(self._clips.items()):
            if clip.faces is not None and not clip.n_missing:
                del self._clips[key]
                time_s = np.concatenate(clip.time_s or [np.empty(0)])
                rows = np.concatenate(clip.rows or [np.empty((0, 0), np.float32)])
                self._keep(key, time_s, rows, clip.faces)
