"""The faces in the frames of one clip: boxes, and the crops around them.

Faces are found by YuNet (Wu et al., 2023, "YuNet: A Tiny Millisecond-level Face Detector") through
OpenCV's ``FaceDetectorYN``. Frames come one at a time, in the order of time, and all that is kept
of them is the last boxes. Runs inside a decode worker: no torch.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from features.errors import EncoderError, MediaError
from features.media.tracks import Box, Tracks

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

ALIGNED_SIDE_PX = 112
ALIGNED_POINTS = np.array(
    [
        38.2946 + 51.6963j,
        73.5318 + 51.5014j,
        56.0252 + 71.7366j,
        41.5493 + 92.3655j,
        70.7299 + 92.2041j,
    ]
)
"""Where the points of a face lie, across + down, in the pictures that ArcFace (Deng et al., 2019)
and most recognisers of faces since were trained on, `ALIGNED_SIDE_PX` wide and high."""

_SCORE = 14  # column of a detection; before it the box, and across and down of five points


class FaceDetection(BaseModel):
    """How faces are detected; equal settings share one detection between encoders.

    Attributes
    ----------
    weights : Path
        YuNet's ONNX file.
    min_score : float
        Detections below this score, in (0, 1], are no face.
    who : {"largest", "all"}
        The largest face, followed through time; or every one, told apart by tracks.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: Path
    min_score: float = Field(gt=0, le=1)
    who: Literal["largest", "all"] = "largest"


class FaceRows(NamedTuple):
    """What is known of the faces behind a clip's rows.

    Attributes
    ----------
    share : float or None
        Share of the clip's frames with a face; None without a detector.
    track : ndarray of int32, shape (n_rows,), or None
        Whose face it is, 0 the one seen longest; None where one face is followed.
    score : ndarray of float32, shape (n_rows,), or None
        The detector's; None as `track`.
    """

    share: float | None = None
    track: NDArray[np.int32] | None = None
    score: NDArray[np.float32] | None = None


class FaceFinder:
    """Follows one face, or all of them, through the frames of one clip.

    Raises
    ------
    EncoderError
        When the weights cannot be read or are not YuNet's.
    """

    def __init__(self, detection: FaceDetection) -> None:
        self._detector = _load(detection.weights)
        self._min_score = detection.min_score
        self._tracks = Tracks() if detection.who == "all" else None
        self._last: Box | None = None

    def find(self, image: Image.Image, time_s: float = 0.0) -> dict[int, Box]:
        """Find the faces in the next frame, by the numbers of their tracks; one has the track 0.

        A frame on which OpenCV fails raises `MediaError`, step ``face``.
        """
        candidates = self._candidates(image)
        if self._tracks is not None:
            return self._tracks.link(candidates, time_s)
        chosen = choose(candidates, self._last)
        # Kept over frames without a face: a detection missed once must not change the person.
        self._last = chosen or self._last
        return {} if chosen is None else {0: chosen}

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
        places = rows[:, :_SCORE] * np.array([across, down] * (_SCORE // 2))
        return [
            Box(left, top, width, height, score, tuple(points))
            for (left, top, width, height, *points), score in zip(
                places.tolist(), rows[:, _SCORE].tolist(), strict=True
            )
        ]


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


def align_face(image: Image.Image, box: Box, margin: float) -> Image.Image:
    """Cut out a face turned, shifted and scaled until its points are at `ALIGNED_POINTS`, in RGB.

    The picture is as large as the face is in `image`, and black beyond its edges.

    Parameters
    ----------
    image : Image
        The picture that `box` was found in.
    box : Box
        The face, with its points.
    margin : float
        Added on each side, as a share of the side.
    """
    points = np.array(box.points[::2]) + 1j * np.array(box.points[1::2])
    # The similarity of least squares (Umeyama, 1991): numbers of the plane turn by multiplying.
    centre, aligned_centre = points.mean(), ALIGNED_POINTS.mean()
    aligned = ALIGNED_POINTS - aligned_centre
    turn = (aligned.conj() * (points - centre)).sum() / (np.abs(aligned) ** 2).sum()
    side = ALIGNED_SIDE_PX * (1 + 2 * margin)
    side_px = max(round(side * abs(turn)), 1)
    corner = (ALIGNED_SIDE_PX - side) * (1 + 1j) / 2
    start, step = centre + turn * (corner - aligned_centre), turn * side / side_px
    coefficients = (step.real, -step.imag, start.real, step.imag, step.real, start.imag)
    size = (side_px, side_px)
    method = Image.Transform.AFFINE
    return _rgb(image).transform(size, method, coefficients, Image.Resampling.BILINEAR)


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
