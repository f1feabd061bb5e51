"""What pictures a frame encoder takes of a clip: the face or the whole frame, then its geometry."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from features.encoders import FrameEncoder
from features.encoders.preprocessing import Geometry
from features.encoders.weights import weights_file
from features.media.faces import FaceDetection


class FaceCrop(BaseModel):
    """How frames are cropped to a face; see `features.encoders.base.FaceSpec`.

    Attributes
    ----------
    detection : FaceDetection
        Equal ones are done once per frame, however many recipes use them.
    margin : float
        Added on each side of the face's box, as a share of its larger side.
    missing : {"whole_frame", "leave_out"}
        What happens to a frame without a face.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    detection: FaceDetection
    margin: float
    missing: Literal["whole_frame", "leave_out"]


class Recipe(BaseModel):
    """From a frame to the picture that an encoder sees. Encoders with equal recipes share them.

    Attributes
    ----------
    geometry : Geometry
        Size and shape of the picture.
    face : FaceCrop or None
        None: the whole frame.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    geometry: Geometry
    face: FaceCrop | None = None


def recipe_of(encoder: FrameEncoder) -> Recipe:
    """Return an encoder's recipe, fetching the face detector's weights if need be.

    Raises
    ------
    EncoderError
        When the detector's weights cannot be had.
    """
    return Recipe(geometry=encoder.preprocessing.geometry, face=_face_crop(encoder))


def detector_file(encoder: FrameEncoder) -> Path | None:
    """Return the face detector's weights file; None for an encoder of whole frames."""
    spec = encoder.spec
    return None if spec.face == "none" else weights_file(spec.face_weights)


def _face_crop(encoder: FrameEncoder) -> FaceCrop | None:
    file = detector_file(encoder)
    if file is None:
        return None
    spec = encoder.spec
    detection = FaceDetection(weights=file, min_score=spec.face_min_score)
    return FaceCrop(detection=detection, margin=spec.face_margin, missing=spec.face_missing)
