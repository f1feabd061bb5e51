"""What every encoder offers: a spec, a digest of its weights, and the way to embeddings."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from features.preprocessing import Preprocessing

if TYPE_CHECKING:
    import torch


class EncoderError(Exception):
    """An encoder that cannot be had as described: its model, its tag or its weights."""


class Spec(BaseModel):
    """One entry under ``encoders`` in ``params.yaml``; each kind adds its own keys.

    Attributes
    ----------
    kind : str
        A key of `features.encoders.ENCODERS`.
    model : str
        The model's name in the library of that kind.
    dtype : {"float16", "float32"}
        How embeddings are stored.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    model: str
    dtype: Literal["float16", "float32"] = "float32"


class FrameSpec(Spec):
    """What all encoders of frames share.

    Attributes
    ----------
    weights : str
        A pretrained tag of the library, a local file, or ``random`` (seeded; for offline demos).
    seed : int
        Of random weights; without meaning otherwise.
    precision : {"fp32", "bf16"}
        Arithmetic of the forward pass, on every device. On two cores with AVX-512 bf16, ResNet50 in
        bf16 ran at three times the fp32 rate, ViT-B/32 at 0.8 of it: so it is set per encoder.
    """

    weights: str
    seed: int = 0
    precision: Literal["fp32", "bf16"] = "fp32"
    dtype: Literal["float16", "float32"] = "float16"


class FrameEncoder(ABC):
    """A frozen network from a picture to a vector.

    Parameters
    ----------
    spec : FrameSpec
        The validated entry of ``params.yaml``.
    """

    Spec: ClassVar[type[FrameSpec]] = FrameSpec

    def __init__(self, spec: Any) -> None:
        self.spec = spec

    @property
    @abstractmethod
    def preprocessing(self) -> Preprocessing:
        """The preprocessing that belongs to these weights."""

    @abstractmethod
    def weights_digest(self) -> str:
        """Digest of the weights' bytes (fetching them if need be), or the seed of random ones.

        Raises
        ------
        EncoderError
            When the weights cannot be had.
        """

    @abstractmethod
    def load_model(self) -> "torch.nn.Module":
        """Build the network on the CPU, in evaluation mode.

        Returns
        -------
        torch.nn.Module
            From float32 pictures (n, 3, height, width), normalised, to embeddings (n, dimension).

        Raises
        ------
        EncoderError
            When the weights cannot be had or belong to another architecture.
        """


class SoundEncoder(ABC):
    """A fixed transform from sound to one vector per window; runs inside a decode worker.

    Parameters
    ----------
    spec : Spec
        The validated entry of ``params.yaml``.
    """

    Spec: ClassVar[type[Spec]] = Spec

    def __init__(self, spec: Any) -> None:
        self.spec = spec

    @abstractmethod
    def weights_digest(self) -> str:
        """Name what stands for weights in a transform without any: library and version."""

    @abstractmethod
    def embed(
        self, sound: NDArray[np.float32], sample_rate_hz: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Embed one clip's sound.

        Parameters
        ----------
        sound : ndarray of float32, shape (n_samples,)
            One channel.
        sample_rate_hz : int
            Samples per second.

        Returns
        -------
        time_s : ndarray of float64, shape (n_windows,)
            Middle of each window.
        embedding : ndarray of float32, shape (n_windows, dimension)
            Finite everywhere.

        Raises
        ------
        features.media.MediaError
            Step ``encode`` when no window gives a finite vector.
        """
