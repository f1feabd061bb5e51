"""Running a frame encoder: device, precision and batches across clips."""

from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from features.encoders import FrameEncoder

BATCH_SIZE = {"cpu": 16, "cuda": 256}
"""Pictures per forward pass. It changes the speed, never the embedding's identity."""

Key = TypeVar("Key")


def default_device() -> torch.device:
    """Return the GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class FrameModel:
    """A loaded frame encoder on a device.

    Every forward pass has the same shape, the last one padded: kernels choose their order of
    summation by shape, so only then does a frame's embedding not depend on its neighbours.

    Parameters
    ----------
    encoder : FrameEncoder
        What to load.
    device : torch.device
        Where to run it.
    """

    def __init__(self, encoder: FrameEncoder, device: torch.device) -> None:
        preprocessing = encoder.preprocessing
        self.device = device
        self.batch_size = BATCH_SIZE[device.type]
        self._bf16 = encoder.spec.precision == "bf16"
        self._model = encoder.load_model().to(device).to(memory_format=torch.channels_last)
        mean = torch.tensor(preprocessing.mean, device=device).view(1, 3, 1, 1)
        std = torch.tensor(preprocessing.std, device=device).view(1, 3, 1, 1)
        self._mean, self._std = mean, std

    @torch.inference_mode()
    def embed(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embed at most one batch of pictures.

        Parameters
        ----------
        pictures : ndarray of uint8, shape (n, 3, height, width)
            With n at most `batch_size`.

        Returns
        -------
        ndarray of float32, shape (n, dimension)
        """
        batch = np.zeros((self.batch_size, *pictures.shape[1:]), np.uint8)
        batch[: len(pictures)] = pictures
        values = torch.from_numpy(batch).to(self.device).float().div_(255)
        values = values.sub_(self._mean).div_(self._std)
        values = values.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16):
            embedding = self._model(values)
        result: NDArray[np.float32] = embedding[: len(pictures)].flatten(1).float().cpu().numpy()
        return result


class Batcher(Generic[Key]):
    """Fills batches across clips and hands each clip's embeddings back when they are complete.

    Parameters
    ----------
    model : FrameModel
        What embeds the batches.
    """

    def __init__(self, model: FrameModel) -> None:
        self._model = model
        self._pictures: list[NDArray[np.uint8]] = []
        self._n_pending = 0
        self._rows: list[NDArray[np.float32]] = []
        self._clips: list[tuple[Key, int]] = []

    def add(self, key: Key, pictures: NDArray[np.uint8]) -> list[tuple[Key, NDArray[np.float32]]]:
        """Queue a clip's pictures (n, 3, height, width); return the clips that are now complete."""
        self._clips.append((key, len(pictures)))
        self._pictures.append(pictures)
        self._n_pending += len(pictures)
        while self._n_pending >= self._model.batch_size:
            self._embed_one_batch()
        return self._complete()

    def flush(self) -> list[tuple[Key, NDArray[np.float32]]]:
        """Embed what is queued, even if it does not fill a batch."""
        if self._n_pending:
            self._embed_one_batch()
        return self._complete()

    def _embed_one_batch(self) -> None:
        waiting = np.concatenate(self._pictures)
        size = self._model.batch_size
        self._rows.append(self._model.embed(waiting[:size]))
        self._pictures = [waiting[size:]]
        self._n_pending = len(waiting[size:])

    def _complete(self) -> list[tuple[Key, NDArray[np.float32]]]:
        if not self._rows:
            return []
        rows = np.concatenate(self._rows)
        done: list[tuple[Key, NDArray[np.float32]]] = []
        while self._clips and self._clips[0][1] <= len(rows):
            key, n_rows = self._clips.pop(0)
            done.append((key, rows[:n_rows]))
            rows = rows[n_rows:]
        self._rows = [rows] if len(rows) else []
        return done
