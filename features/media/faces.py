"""The faces in the frames of one clip: boxes, whose they are, and the crops around them.

Faces are found by YuNet (Wu et al., 2023, "YuNet: A Tiny Millisecond-level Face Detector") through
OpenCV's ``FaceDetectorYN``. Frames come one at a time, in the order of time, and all that is kept
of them is the last boxes. Runs inside a decode worker: no torch.

People are told apart by tracks: greedily by overlap from frame to frame, as the IoU tracker
(Bochinski, Eiselein and Sikora, 2017, "High-Speed Tracking-by-Detection Without Using Image
Information"); a track is also looked for where its pace leads, as in SORT (Bewley et al., 2016), so
that two people may pass each other.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
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

NMS_IOU = 0.3  # of two detections that overlap more, the better one counts: as OpenCV's samples
SAME_FACE_IOU = 0.3  # a box that overlaps the last one by less is not the same face, moved

LARGER_FACE_RATIO = 2.0
"""A face with more than this many times the area of the followed one takes over.

Otherwise a face in the background, once taken, would be kept when the person in front is back.
"""

SAME_PERSON_IOU = 0.1
"""A box that overlaps less is somebody else's.

Low, for frames are some 0.3 s apart here: a head may move by four fifths of its width, and the
greedy choice keeps neighbours apart.
"""

MAX_GAP_S = 2.0  # who is not seen for longer, and for more than a frame, comes back as another

ALIGNED_SIDE_PX = 112
ALIGNED_POINTS = np.array([38.2946, 73.5318, 56.0252, 41.5493, 70.7299]) + 1j * np.array(
    [51.6963, 51.5014, 71.7366, 92.3655, 92.2041]
)
"""Where the points of a face lie, across + down, in the pictures that ArcFace (Deng et al., 2019)
and most recognisers of faces since were trained on, `ALIGNED_SIDE_PX` wide and high."""


class Box(NamedTuple):
    """A face, in pixels of its picture, beyond whose edges it may reach.

    `points` are ten numbers, across and down: the eyes, the nose and the corners of the mouth, what
    is left in the picture first. Empty where they are not known.
    """

    left: float
    top: float
    width: float
    height: float
    score: float
    points: tuple[float, ...] = ()

    @property
    def area(self) -> float:
        """In square pixels."""
        return self.width * self.height

    @property
    def centre(self) -> complex:
        """Across + down."""
        return complex(self.left + self.width / 2, self.top + self.height / 2)

    def iou(self, other: "Box") -> float:
        """Return the shared area as a share of the area that both cover together."""
        right = min(self.left + self.width, other.left + other.width)
        bottom = min(self.top + self.height, other.top + other.height)
        width = max(right - max(self.left, other.left), 0.0)
        height = max(bottom - max(self.top, other.top), 0.0)
        return width * height / (self.area + other.area - width * height)


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
        self._found: list[dict[int, Box]] = []  # by frame

    def find(self, image: Image.Image, time_s: float = 0.0) -> dict[int, Box]:
        """Find the faces in the next RGB frame, by the numbers of their tracks; one has track 0.

        A frame on which OpenCV fails raises `MediaError`, step ``face``.
        """
        candidates = self._candidates(image)
        if self._tracks is not None:
            found = self._tracks.link(candidates, time_s)
        else:
            chosen = choose(candidates, self._last)
            # Kept over frames without a face: a detection missed once must not change the person.
            self._last = chosen or self._last
            found = {} if chosen is None else {0: chosen}
        self._found.append(found)
        return found

    def rows(self) -> FaceRows:
        """Return what is known of the faces that were found so far, in one frame or more."""
        share = sum(map(bool, self._found)) / len(self._found)
        if self._tracks is None:
            return FaceRows(share)
        shown = [(track, box.score) for found in self._found for track, box in found.items()]
        track, score = np.array(shown).reshape(-1, 2).T
        return FaceRows(share, by_rows(track.astype(int)), score.astype(np.float32))

    def _candidates(self, image: Image.Image) -> list[Box]:
        import cv2

        scale = DETECTION_SIDE_PX / max(image.size)
        width_px, height_px = (max(round(side * scale), 1) for side in image.size)
        # The gap lets PIL average whole blocks first: four times as fast on 1920x1080.
        method = Image.Resampling.BILINEAR
        rgb = image.resize((width_px, height_px), method, reducing_gap=1.0)
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
        back = np.array([*[across, down] * 7, 1])  # the box, five points, and the score
        return [
            Box(left, top, width, height, score, tuple(points))
            for left, top, width, height, *points, score in (rows * back).tolist()
        ]


class Tracks:
    """Links the faces of one clip's frames, which come in the order of time."""

    def __init__(self) -> None:
        # By track: when it was seen last, where, and its pace in pixels per second.
        self._last: list[tuple[float, Box, complex]] = []
        self._time_s = 0.0  # of the frame before

    def link(self, boxes: Iterable[Box], time_s: float) -> dict[int, Box]:
        """Return the boxes of the next frame by the numbers of their tracks, in ascending order."""
        new = sorted(boxes, key=lambda box: (-box.area, box))
        pairs = []
        for track, (seen_s, before, pace) in enumerate(self._last):
            if seen_s == self._time_s or time_s - seen_s <= MAX_GAP_S:
                way = pace * (time_s - seen_s)
                led = before._replace(left=before.left + way.real, top=before.top + way.imag)
                pairs += [(max(before.iou(box), led.iou(box)), -track, box) for box in new]
        linked: dict[int, Box] = {}
        for overlap, minus_track, box in sorted(pairs, reverse=True):
            track = -minus_track
            if overlap >= SAME_PERSON_IOU and track not in linked and box in new:
                seen_s, before, _ = self._last[track]
                pace = (box.centre - before.centre) / max(time_s - seen_s, 1e-6)
                self._last[track] = time_s, box, pace
                linked[track] = box
                new.remove(box)
        for box in new:
            linked[len(self._last)] = box
            self._last.append((time_s, box, 0j))
        self._time_s = time_s
        return dict(sorted(linked.items()))


def by_rows(track: NDArray[np.integer]) -> NDArray[np.int32]:
    """Give tracks (n_rows,) new numbers: 0 to that of the most rows, of equal ones the first."""
    names, first, n_rows = np.unique(track, return_index=True, return_counts=True)
    number = np.argsort(np.lexsort((first, -n_rows))).astype(np.int32)
    return np.asarray(number[np.searchsorted(names, track)])


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
    """Cut out the square around a face; black where it reaches beyond the picture.

    Parameters
    ----------
    image : Image
        The picture that `box` was found in, in RGB.
    box : Box
        The face.
    margin : float
        Added on each side, as a share of the box's larger side.
    """
    side_px = max(round(max(box.width, box.height) * (1 + 2 * margin)), 1)
    left_px = round(box.left + (box.width - side_px) / 2)
    top_px = round(box.top + (box.height - side_px) / 2)
    return image.crop((left_px, top_px, left_px + side_px, top_px + side_px))


def align_face(image: Image.Image, box: Box, margin: float) -> Image.Image:
    """Cut out a face, as `crop_face` does, turned until its points are at `ALIGNED_POINTS`.

    The picture is as large as the face is in `image`, and black beyond its edges.
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
    form = Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR
    return image.transform((side_px, side_px), *form)


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
        advice = "Expected YuNet as ONNX: correct `face_weights:`, or leave it out"
        raise EncoderError(
            f"the face detector's weights {weights} cannot be used: {_short(error)}. {advice}"
        ) from None
    finally:
        cv2.utils.logging.setLogLevel(log_level)
    return detector


def _short(error: Exception) -> str:
    """Return the message of OpenCV's exception without the place in its source."""
    return " ".join((getattr(error, "err", None) or str(error)).split())[:200]
