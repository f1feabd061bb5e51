"""What makes an embedding the same embedding."""

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from features.encoders.base import Encoder, FrameEncoder, SoundTransform
from features.files import file_sha256

EXTRACTOR_VERSION = 6
"""Raise this when the code of this package changes the numbers it produces."""

TRANSFORM_VERSION = 6
"""The same for each `SoundTransform` alone: 6 brought their windows onto the clip's clock."""

_LATER_KEYS = {"who": "largest", "face_align": False}
"""Keys that came later, and the values that leave the embeddings of before what they are."""


class Sampling(BaseModel):
    """What is taken from each clip.

    Attributes
    ----------
    frame_rate_hz : float
        Frames per second of clip time: 0.001 to 1,000.
    sample_rate_hz : int
        Rate that sound is resampled to, from 1,000 to 192,000 Hz.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    frame_rate_hz: float = Field(ge=0.001, le=1000)
    sample_rate_hz: int = Field(ge=1000, le=192_000)


def encoder_identity(encoder: Encoder, sampling: Sampling) -> str:
    """Digest of everything but the clip that changes an embedding, 32 hexadecimal digits.

    Together with the digest of a clip's bytes it names an embedding for good. Paths, encoder names,
    batch size, device and worker count change nothing and are left out. Weights that cannot be had
    are an EncoderError.
    """
    # Weights are named by their bytes, preprocessing by what it is.
    named = {"weights", "seed", "face_weights", "preprocessing_of"} | encoder.named_by_weights
    spec = encoder.model_dump(exclude=named)
    is_transform = isinstance(encoder, SoundTransform)
    parts: dict[str, Any] = {
        "extractor": TRANSFORM_VERSION if is_transform else EXTRACTOR_VERSION,
        "weights": encoder.weights_digest(),
    }
    if isinstance(encoder, FrameEncoder):
        parts["preprocessing"] = encoder.picture_preprocessing().model_dump()
        parts["frame_rate_hz"] = encoder.pieces(sampling).frame_rate_hz
        if detector := encoder.detector_file():
            parts["face_weights"] = file_sha256(detector)
        else:
            spec = {k: v for k, v in spec.items() if not k.startswith(("face", "who"))}
        spec = {k: v for k, v in spec.items() if _LATER_KEYS.get(k, ...) != v}
    elif encoder.modality == "sound":
        parts["sample_rate_hz"] = sampling.sample_rate_hz
    parts["spec"] = spec
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]
