"""What every encoder offers: its settings, the pieces of clips it takes, the way to embeddings."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from features.encoders.pieces import Pictures, PieceKind, Preprocessing, SoundPieces
from features.encoders.weights import weights_file
from features.media.faces import FaceDetection

if TYPE_CHECKING:
    import torch

    from features.encoders.torch_model import TorchModel
    from features.identity import Sampling


class Encoder(BaseModel, ABC):
    """An entry under ``encoders`` in ``params.yaml``, checked, and what embeds as it says.

    It is frozen: it turns pieces of a clip into one vector each, and is never trained here. A kind
    adds its own keys.

    Attributes
    ----------
    kind : str
        A key of `features.encoders.ENCODERS`.
    model : str
        The model's name in the library of that kind.
    dtype : {"float16", "float32"}
        How embeddings are stored.
    optional : bool
        Whether `features.extraction.extract` goes on without it where its weights cannot be had. It
        is no part of what an embedding is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    modality: ClassVar[Literal["vision", "sound", "words"]]
    """Which of a clip's streams it needs, or its transcript."""

    named_by_weights: ClassVar[frozenset[str]] = frozenset()
    """Keys of which the weights' bytes say more: those count for the identity."""

    kind: str
    model: str
    dtype: Literal["float16", "float32"] = "float32"
    optional: bool = Field(default=False, exclude=True)

    @abstractmethod
    def pieces(self, sampling: "Sampling") -> PieceKind:
        """Say which pieces of clips it takes.

        Raises
        ------
        EncoderError
            When they depend on weights that cannot be had, such as a face detector's.
        """

    @abstractmethod
    def load_model(self, device: "torch.device | None" = None) -> "TorchModel | None":
        """Load what embeds pieces onto a device; None when the pieces are embeddings already.

        Parameters
        ----------
        device : torch.device, optional
            Default: the GPU where there is one, else the CPU.

        Raises
        ------
        EncoderError
            When the weights cannot be had or belong to another architecture.
        """

    @abstractmethod
    def weights_digest(self) -> str:
        """Digest of the weights' bytes, fetching them if need be, or what stands for them.

        Raises
        ------
        EncoderError
            When the weights cannot be had.
        """

    def dimension(self) -> int:
        """Width of an embedding, found without the weights where that is possible.

        By default that of all `columns`: a kind that names none says it itself.
        """
        return sum(self.columns().values())

    def finish(
        self, time_s: NDArray[np.float64], rows: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Make a clip's embeddings of what the model gave for its pieces; default: one a piece.

        Parameters
        ----------
        time_s : ndarray of float64, shape (n_pieces,)
            Times of the pieces.
        rows : ndarray of float32, shape (n_pieces, width)
            The model's row for each.

        Returns
        -------
        time_s : ndarray of float64, shape (n,)
            In ascending order.
        embedding : ndarray of float32, shape (n, dimension)

        Raises
        ------
        features.errors.MediaError
            Step ``encode`` when there is nothing to embed.
        """
        return time_s, rows

    def columns(self) -> dict[str, int]:
        """Names and widths of the outputs that make up an embedding; empty for a single one."""
        return {}

    def is_clip_level(self) -> bool:
        """Whether a clip's embedding is one row, of all of it: pooling would repeat it."""
        return False


class FrameEncoder(Encoder):
    """An encoder of frames, or of the faces in them.

    Attributes
    ----------
    face : {"none", "yunet"}
        Whole frames, or the face that YuNet finds in them.
    face_weights : str
        The detector's ONNX file: local, of a package, or of the Hugging Face hub
        (``hf://owner/repo/file``). By default the one that comes with this package.
    who : {"largest", "all"}
        The largest face, followed through time, or all faces: a row each, with the ``track`` of
        one person and the ``face_score``, and none for frames without a face.
    face_margin : float
        Added on each side of the face's box, as a share of its larger side.
    face_align : bool
        Whether faces are turned, shifted and scaled until eyes, nose and mouth are where networks
        that recognise faces want them (`features.media.faces.ALIGNED_POINTS`).
    face_min_score : float
        Detections below this score are no face.
    face_missing : {"whole_frame", "leave_out"}
        What happens to a frame without a face. A video without any has failed either way; a
        picture is a clip of one frame.
    """

    modality = "vision"

    dtype: Literal["float16", "float32"] = "float16"
    face: Literal["none", "yunet"] = "none"
    face_weights: str = "package://features/encoders/files/yunet.onnx"
    who: Literal["largest", "all"] = "largest"
    face_margin: float = Field(default=0.1, ge=0, le=10)
    face_align: bool = False
    face_min_score: float = Field(default=0.6, gt=0, le=1)
    face_missing: Literal["whole_frame", "leave_out"] = "whole_frame"

    @model_validator(mode="before")
    @classmethod
    def _nobody_is_in_frames_without_a_face(cls, entry: Mapping[str, Any]) -> dict[str, Any]:
        return {**({"face_missing": "leave_out"} if entry.get("who") == "all" else {}), **entry}

    @model_validator(mode="after")
    def _face_keys_need_a_detector(self) -> "FrameEncoder":
        idle = sorted(key for key in self.model_fields_set if key.startswith(("face_", "who")))
        if self.face == "none" and idle:
            raise ValueError(f"{', '.join(idle)} need `face: yunet`")
        if self.who == "all" and self.face_missing != "leave_out":
            raise ValueError(
                "`who: all` leaves frames without a face out: take `face_missing` out, or `who`"
            )
        return self

    @abstractmethod
    def picture_preprocessing(self) -> Preprocessing:
        """Return the preprocessing that belongs to the weights."""

    def detector_file(self) -> Path | None:
        """Return the face detector's weights file, fetched; None for whole frames."""
        return None if self.face == "none" else weights_file(self.face_weights)

    def pieces(self, sampling: "Sampling") -> Pictures:
        """Take frames, cropped to the face if the entry says so."""
        geometry = self.picture_preprocessing().geometry
        faces: dict[str, Any] = {}
        if detector := self.detector_file():
            found = FaceDetection(weights=detector, min_score=self.face_min_score, who=self.who)
            said = self.model_dump(include={"face_margin", "face_align", "face_missing"})
            faces = {"face": found, **said}
        return Pictures(frame_rate_hz=sampling.frame_rate_hz, geometry=geometry, **faces)


class SoundTransform(Encoder):
    """A transform of sound of any length, cheap enough for the decode workers to do it.

    Its pieces are its embeddings: there is no network to load, and no batch to wait for.
    """

    modality = "sound"

    def pieces(self, sampling: "Sampling") -> SoundPieces:
        """Take what `embed` makes of all of a clip's sound."""
        return SoundPieces(sampling.sample_rate_hz, self.embed, self.windows_s())

    def windows_s(self) -> tuple[float, float] | None:
        """Length and distance of its windows, on the grid of clip time; None for a single one."""
        return None

    def load_model(self, device: "torch.device | None" = None) -> None:
        """Nothing is left to load."""

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
        features.errors.MediaError
            Step ``encode`` when no window gives a finite vector.
        """
