"""What of a clip an encoder takes: pieces of fixed shape, each with its time in the clip.

Decode workers make them, once for all encoders that take the same. No torch here: workers start
fast, and hand over small arrays.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict

from features.encoders.preprocessing import Geometry
from features.media.faces import Box, FaceDetection, crop_face


class FaceCrop(BaseModel):
    """How frames are cropped to a face; see `features.encoders.base.FaceSpec`.

    Attributes
    ----------
    detection : FaceDetection
        Equal ones are done once per frame, however many crops use them.
    margin : float
        Added on each side of the face's box, as a share of its larger side.
    missing : {"whole_frame", "leave_out"}
        What happens to a frame without a face.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    detection: FaceDetection
    margin: float
    missing: Literal["whole_frame", "leave_out"]


class Pictures(BaseModel):
    """Pieces that are frames of a clip, of shape (3, height, width) in uint8.

    Attributes
    ----------
    frame_rate_hz : float
        Points per second of clip time, at each of which the frame on screen is taken.
    geometry : Geometry
        Size and shape of the pieces.
    face : FaceCrop or None
        None: the whole frame.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    frame_rate_hz: float
    geometry: Geometry
    face: FaceCrop | None = None

    def cut(
        self, image: Image.Image, faces: Mapping[FaceDetection, Box | None]
    ) -> NDArray[np.uint8] | None:
        """Make the piece of a frame and the face in it; None when the frame is left out."""
        box = faces[self.face.detection] if self.face else None
        if self.face and box:
            image = crop_face(image, box, self.face.margin)
        elif self.face and self.face.missing == "leave_out":
            return None
        return self.geometry.apply(image)


@dataclass(frozen=True)
class SoundPieces:
    """Pieces of a clip's sound.

    Attributes
    ----------
    sample_rate_hz : int
        Rate that sound is resampled to.
    cut : callable
        From sound of shape (n_samples,) in float32, one channel, and its rate, to times of shape
        (n_pieces,) and pieces of shape (n_pieces, ...). It must pickle.
    """

    sample_rate_hz: int
    cut: Callable[[NDArray[np.float32], int], tuple[NDArray[np.float64], NDArray[np.float32]]]


PieceKind = Pictures | SoundPieces
"""Equal kinds are equal pieces."""
