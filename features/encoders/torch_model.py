"""Running a network over batches of pieces: device, precision, out-of-memory."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from features.errors import EncoderError

if TYPE_CHECKING:
    from features.encoders.pieces import Preprocessing

BATCH_SIZE = {"cpu": 8, "cuda": 256}
"""Pictures per forward pass. It changes the speed, never the embedding's identity."""

_BLACK = np.uint8(0)


class TorchModel:
    """A network on a device, from pieces to embeddings.

    Every forward pass has the same shape, the last one padded: kernels choose their order of
    summation by shape, so only then does an embedding not depend on its neighbours.

    Parameters
    ----------
    network : callable
        From pieces (n, ...) to embeddings (n, dimension). A torch module is brought to the device
        first, and to the precision.
    precision : {"fp32", "bf16"}
        Of weights and activations.
    device : torch.device, optional
        Where to run it; default: that of `default_device`.
    rows_of : callable, optional
        What makes embeddings instead, called with the network and pieces.
    preprocessing : Preprocessing, optional
        Pieces are pictures ([frames,] 3, height, width) in uint8, which are normalised on the
        device by its mean and deviation.
    batch_size : mapping of str to int
        Pieces per forward pass, by the device's type.
    padding : numpy scalar
        What batches are filled up with; pieces have its dtype.

    Attributes
    ----------
    network, embed : callable
        As it lies on the device; what goes from prepared pieces there to embeddings.
    batch_size : int
        Pieces per forward pass. It shrinks when the device runs out of memory.
    runs_beside : bool
        Whether `submit` returns before the work is done, as on a GPU.
    """

    def __init__(
        self,
        network: Callable[[torch.Tensor], Any],
        precision: str,
        device: torch.device | None = None,
        *,
        rows_of: Callable[[Any, torch.Tensor], torch.Tensor] | None = None,
        preprocessing: "Preprocessing | None" = None,
        batch_size: Mapping[str, int] = BATCH_SIZE,
        padding: np.generic = _BLACK,
    ) -> None:
        self._device = device = device or default_device()
        self._dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self._padding = padding
        self._mean_and_std: list[torch.Tensor] = []
        if preprocessing is not None:
            both = (preprocessing.mean, preprocessing.std)
            self._mean_and_std = [torch.tensor(each, device=device) for each in both]
        self.batch_size = batch_size[device.type]
        self.runs_beside = device.type == "cuda"
        if isinstance(network, torch.nn.Module):
            # All of it in bf16: autocast would convert the weights anew for every batch.
            network = network.eval() if rows_of else _without_batch_norm(network.eval())
            network = network.to(device, self._dtype)
            if all(values.ndim < 5 for values in network.parameters()):  # else it is of video
                network = network.to(memory_format=torch.channels_last)
        self.network, self.embed = network, partial(rows_of, network) if rows_of else network

    def new_batch(self, piece_shape: tuple[int, ...]) -> NDArray[Any]:
        """Return memory for a batch of pieces, pinned where a GPU copies from it by itself."""
        batch = torch.from_numpy(np.empty((self.batch_size, *piece_shape), self._padding.dtype))
        memory: NDArray[Any] = (batch.pin_memory() if self.runs_beside else batch).numpy()
        return memory

    def submit(self, pieces: NDArray[Any]) -> Callable[[], NDArray[np.float32]]:
        """Start to embed pieces (n, ...), which must stay as they are until the end.

        Call the result to wait for the embeddings, of shape (n, dimension).

        On a GPU they are copied and the pass is queued, so that the caller can fill the
        next batch meanwhile. When its memory is exhausted, batches are halved from then on.
        """
        waits: list[Callable[[], NDArray[np.float32]]] = []
        n_started = 0
        while n_started < len(pieces):
            part = pieces[n_started : n_started + self.batch_size]
            try:
                waits.append(self._start(part))
            except torch.OutOfMemoryError:
                if self.batch_size == 1:
                    raise
                self.batch_size //= 2
                warnings.warn(
                    f"out of memory on {self._device}: going on with {self.batch_size} pieces "
                    "per batch",
                    stacklevel=2,
                )
                torch.cuda.empty_cache()
            else:
                n_started += len(part)
        return lambda: np.concatenate([wait() for wait in waits])

    @torch.inference_mode()
    def _start(self, pieces: NDArray[Any]) -> Callable[[], NDArray[np.float32]]:
        batch = pieces
        if len(pieces) < self.batch_size:
            batch = self.new_batch(pieces.shape[1:])
            batch[: len(pieces)] = pieces
            batch[len(pieces) :] = self._padding
        values = torch.from_numpy(batch).to(self._device, non_blocking=True)
        rows = run(self.embed, self._normalised(values))[: len(pieces)].float()
        if not self.runs_beside:
            result: NDArray[np.float32] = rows.numpy()
            return lambda: result
        host = rows.to("cpu", non_blocking=True)  # into pinned memory
        done = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        done.record()

        def wait(_held: object = batch) -> NDArray[np.float32]:  # it may still be on its way
            done.synchronize()
            embedding: NDArray[np.float32] = host.numpy()
            return embedding

        return wait

    def _normalised(self, pieces: torch.Tensor) -> torch.Tensor:
        if not self._mean_and_std:
            return pieces
        mean, std = (each.view(1, 3, 1, 1) for each in self._mean_and_std)
        values = pieces.float().div_(255).sub_(mean).div_(std).to(self._dtype)
        is_stack = values.ndim == 5
        return values if is_stack else values.contiguous(memory_format=torch.channels_last)


def default_device() -> torch.device:
    """Return the GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def run(network: Callable[[torch.Tensor], Any], prepared: torch.Tensor) -> torch.Tensor:
    """Embed a prepared batch (n, ...) that lies on the network's device; gives (n, dimension).

    Of several outputs, such as CoCa's embedding and tokens, the first counts. One that is not a
    vector per piece is an EncoderError.
    """
    with _full_precision():
        output = network(prepared)
    embedding: torch.Tensor = output[0] if isinstance(output, tuple) else output
    if embedding.ndim != 2:
        raise EncoderError(
            f"the network gives {tuple(embedding.shape)} and no pooled vector per picture: "
            "choose another `model:`"
        )
    return embedding


@contextmanager
def _full_precision() -> Iterator[None]:
    """Keep float32 what it is, whatever the caller has set: an identity says nothing of TF32.

    Without this, cuDNN rounds what goes into convolutions to 10 bits, even by default.
    """
    settings: tuple[Any, ...] = (
        torch.backends.cuda.matmul,
        torch.backends.cudnn.conv,  # type: ignore[attr-defined]  # torch makes them at run time
        torch.backends.mkldnn.matmul,  # type: ignore[attr-defined]
        torch.backends.mkldnn.conv,  # type: ignore[attr-defined]
    )
    before = [each.fp32_precision for each in settings]
    try:
        for each in settings:
            each.fp32_precision = "ieee"
        yield
    finally:
        for each, precision in zip(settings, before, strict=True):
            each.fp32_precision = precision


def _without_batch_norm(network: torch.nn.Module) -> torch.nn.Module:
    """Fold batch normalisation into the convolutions before it: a third faster on a CPU."""
    if not any(isinstance(part, torch.nn.BatchNorm2d) for part in network.modules()):
        return network
    from torch.fx.experimental.optimization import fuse  # seconds to import

    try:
        folded: torch.nn.Module = fuse(network)
    except Exception:  # a network whose control flow torch.fx cannot follow
        return network
    return folded
