"""The face in the frames of one clip: a box per frame, and the crop around it.

Faces are found by YuNet (Wu et al., 2023, "YuNet: A Tiny Millisecond-level Face Detector") through
OpenCV's ``FaceDetectorYN``. Frames come one at a time, in the order of time, and all that is kept
of them is the last box. Runs inside a decode worker: no torch.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from features.errors import EncoderError, MediaError

if TYPE_CHECKING:
    import cv2

DETECTION_SIDE_PX = 320
"""Pictures are scaled to this longer side before detection.

Larger ones for speed: faces down to 8 px of the scaled picture are still found. Smaller ones
because YuNet misses faces of few pixels: of 48x48 pictures of faces it missed 9% as they are, 3%
enlarged to 320 px, and 38% at 640 px, where faces exceed what it learned.
"""

NMS_IOU = 0.3
"""Of two detections that overlap more, only the better one counts: as in OpenCV's samples."""

SAME_FACE_IOU = 0.3
"""A box that overlaps the last one by less is not taken for the same face, moved."""

LARGER_FACE_RATIO = 2.0
"""A face with more than this many times the area of the followed one takes over.

Otherwise a face in the background, once taken, would be kept when the person in front is back.
"""

_BOX_AND_SCORE = [0, 1, 2, 3, 14]  # columns of a detection; those between are eyes, nose, mouth


class FaceDetection(BaseModel):
    """How faces are detected; equal settings share one detection between encoders.

    Attributes
    ----------
    weights : Path
        YuNet's ONNX file.
    min_score : float
        Detections below this score, in (0, 1], are no face.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: Path
    min_score: float = Field(gt=0, le=1)


class Box(NamedTuple):
    """A face, in pixels of its picture, beyond whose edges it may reach."""

    left: float
    top: float
    width: float
    height: float
    score: float

    @property
    def area(self) -> float:
        """In square pixels."""
        return self.width * self.height

    def iou(self, other: "Box") -> float:
        """Return the shared area as a share of the area that both cover together."""
        right = min(self.left + self.width, other.left + other.width)
        bottom = min(self.top + self.height, other.top + other.height)
        width = max(right - max(self.left, other.left), 0.0)
        height = max(bottom - max(self.top, other.top), 0.0)
        return width * height / (self.area + other.area - width * height)


class FaceFinder:
    """Follows one face through the frames of one clip.

    Raises
    ------
    EncoderError
        When the weights cannot be read or are not YuNet's.
    """

    def __init__(self, detection: FaceDetection) -> None:
        self._detector = _load(detection.weights)
        self._min_score = detection.min_score
        self._last: Box | None = None

    def find(self, image: Image.Image) -> Box | None:
        """Find the face in the next frame; None when there is none.

        A frame on which OpenCV fails raises `MediaError`, step ``face``.
        """
        chosen = choose(self._candidates(image), self._last)
        # Kept over frames without a face: a detection missed once must not change the person.
        self._last = chosen or self._last
        return chosen

    def _candidates(self, image: Image.Image) -> list[Box]:
        import cv2

        scale = DETECTION_SIDE_PX / max(image.size)
        width_px, height_px = (max(round(side * scale), 1) for side in image.size)
        # The gap lets PIL average whole blocks first: four times as fast on 1920x1080.
        method = Image.Resampling.BILINEAR
        rgb = _rgb(image).resize((width_px, height_px), method, reducing_gap=1.0)
        bgr = np.ascontiguousarray(np.asarray(rgb)[:, :, ::-1])
        try:  # set anew each time: the finders of a process share one detector
            self._detector.setScoreThreshold(self._min_score)
            self._detector.setInputSize(rgb.size)
            rows: Any = self._detector.detect(bgr)[1]
        except cv2.error as error:
            raise MediaError("face", f"OpenCV failed on a frame: {_short(error)}") from None
        if rows is None:  # no detection at all, though OpenCV's type hints deny it
            return []
        across, down = image.width / width_px, image.height / height_px
        scale_back = np.array([across, down, across, down, 1])
        return [Box(*row) for row in (rows[:, _BOX_AND_SCORE] * scale_back).tolist()]


def choose(candidates: Sequence[Box], last: Box | None) -> Box | None:
    """Choose the face that goes on from the last box, or the largest one; None without any.

    The candidate that overlaps `last` most is taken, if by `SAME_FACE_IOU` and if none is more than
    `LARGER_FACE_RATIO` times as large; otherwise the largest.
    """
    largest = max(candidates, key=lambda box: (box.area, box), default=None)
    if last is None or largest is None:
        return largest
    nearest = max(candidates, key=lambda box: (box.iou(last), box))
    follows = nearest.iou(last) >= SAME_FACE_IOU
    outgrown = largest.area > LARGER_FACE_RATIO * nearest.area
    return nearest if follows and not outgrown else largest


def crop_face(image: Image.Image, box: Box, margin: float) -> Image.Image:
    """Cut out the square around a face, in RGB; black where it reaches beyond the picture.

    Parameters
    ----------
    image : Image
        The picture that `box` was found in.
    box : Box
        The face.
    margin : float
        Added on each side, as a share of the box's larger side.
    """
    side_px = max(round(max(box.width, box.height) * (1 + 2 * margin)), 1)
    left_px = round(box.left + (box.width - side_px) / 2)
    top_px = round(box.top + (box.height - side_px) / 2)
    # In RGB before the cut: PIL pads with zeros, which a palette may show in any colour.
    return _rgb(image).crop((left_px, top_px, left_px + side_px, top_px + side_px))


@lru_cache(maxsize=4)
def _load(weights: Path) -> "cv2.FaceDetectorYN":
    """Load YuNet, once per process, and try it."""
    import cv2

    cv2.setNumThreads(1)  # workers run side by side: threads inside one would only compete
    size = (DETECTION_SIDE_PX, DETECTION_SIDE_PX)
    nothing = np.empty(0, np.uint8)
    log_level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    try:  # from its bytes: OpenCV would judge a file by the ending of its name
        content = np.frombuffer(weights.read_bytes(), np.uint8)
        detector = cv2.FaceDetectorYN.create("onnx", content, nothing, size, nms_threshold=NMS_IOU)
        detector.detect(np.zeros((*size, 3), np.uint8))  # any network loads, only YuNet runs
    except (OSError, cv2.error) as error:
        raise EncoderError(
            f"the face detector's weights {weights} cannot be used: {_short(error)}. Expected an "
            "ONNX file of YuNet for OpenCV's FaceDetectorYN: correct `face_weights:`, or leave it "
            "out to take the default."
        ) from None
    finally:
        cv2.utils.logging.setLogLevel(log_level)
    return detector


def _rgb(image: Image.Image) -> Image.Image:
    return image if image.mode == "RGB" else image.convert("RGB")


def _short(error: Exception) -> str:
    """Return the message of OpenCV's exception without the place in its source."""
    return " ".join((getattr(error, "err", None) or str(error)).split())[:200]
