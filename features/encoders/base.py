"""What every encoder offers: a spec, a digest of its weights, and the way to embeddings."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from features.encoders.preprocessing import Preprocessing

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

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: str
    model: str
    dtype: Literal["float16", "float32"] = "float32"


class FaceSpec(Spec):
    """Cropping to the face before a frame encoder.

    Attributes
    ----------
    face : {"none", "yunet"}
        Whole frames, or the face that YuNet finds in them.
    face_weights : str
        The detector's ONNX file, local or on the Hugging Face hub (``hf://owner/repo/file``).
    face_margin : float
        Added on each side of the face's box, as a share of its larger side.
    face_min_score : float
        Detections below this score are no face.
    face_missing : {"whole_frame", "leave_out"}
        What happens to a frame without a face. A clip without any has failed either way.
    """

    face: Literal["none", "yunet"] = "none"
    face_weights: str = "hf://opencv/face_detection_yunet/face_detection_yunet_2023mar.onnx"
    face_margin: float = Field(default=0.1, ge=0, le=10)
    face_min_score: float = Field(default=0.6, gt=0, le=1)
    face_missing: Literal["whole_frame", "leave_out"] = "whole_frame"

    @model_validator(mode="after")
    def _face_keys_need_a_detector(self) -> "FaceSpec":
        idle = sorted(key for key in self.model_fields_set if key.startswith("face_"))
        if self.face == "none" and idle:
            raise ValueError(f"{', '.join(idle)} need `face: yunet`")
        return self


class FrameModel(Protocol):
    """A loaded frame encoder on a device.

    Attributes
    ----------
    batch_size : int
        Pictures per forward pass. It may shrink when the device runs out of memory.
    runs_beside : bool
        Whether `submit` returns before the work is done, as on a GPU.
    """

    batch_size: int
    runs_beside: bool

    def new_batch(self, picture_shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Return memory for `batch_size` pictures of a shape, which `submit` reads the fastest."""

    def submit(self, pictures: NDArray[np.uint8]) -> Callable[[], NDArray[np.float32]]:
        """Start to embed pictures (n, 3, height, width); call the result to wait for it.

        Parameters
        ----------
        pictures : ndarray of uint8, shape (n, 3, height, width)
            They must stay as they are until the result has been called.

        Returns
        -------
        callable
            Gives the embeddings, an ndarray of float32 of shape (n, dimension).
        """


class FrameEncoder(ABC):
    """A frozen network from a picture to a vector.

    Parameters
    ----------
    spec : FaceSpec
        The validated entry of ``params.yaml``.
    """

    Spec: ClassVar[type[FaceSpec]]

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
    def load_model(self, device: "torch.device") -> FrameModel:
        """Load the network onto a device.

        Raises
        ------
        EncoderError
            When the weights cannot be had or belong to another architecture.
        """

    @abstractmethod
    def dimension(self) -> int:
        """Width of an embedding, found without the weights."""

    def columns(self) -> dict[str, int]:
        """Names and widths of the outputs that make up an embedding; empty for a single one."""
        return {}

    def network_key(self) -> str | None:
        """Name what encoders have in common that are outputs of one network on equal pictures.

        None: the network has a single output.
        """
        return None

    def with_outputs_of(self, others: Sequence["FrameEncoder"]) -> "FrameEncoder":  # noqa: ARG002
        """Return an encoder that has the outputs of all of these, which share a network."""
        return self


class SoundEncoder(ABC):
    """A fixed transform from sound to one vector per window; runs inside a decode worker.

    Parameters
    ----------
    spec : Spec
        The validated entry of ``params.yaml``.
    """

    Spec: ClassVar[type[Spec]]

    def __init__(self, spec: Any) -> None:
        self.spec = spec

    @abstractmethod
    def weights_digest(self) -> str:
        """Name what stands for weights in a transform without any: library and version."""

    @abstractmethod
    def dimension(self) -> int:
        """Width of an embedding."""

    def is_clip_level(self) -> bool:
        """Whether a clip's embedding is one row, of all its sound: pooling would repeat it."""
        return False

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
        features.media.files.MediaError
            Step ``encode`` when no window gives a finite vector.
        """
