import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper
from PIL import Image

from features.errors import EncoderError, MediaError
from features.media import faces
from features.media.faces import (
    DETECTION_SIDE_PX,
    LARGER_FACE_RATIO,
    SAME_FACE_IOU,
    Box,
    FaceDetection,
    FaceFinder,
    choose,
    crop_face,
)
from features.media.frames import read_frames

MIN_SCORE = 0.6

coordinates = st.floats(-50, 500)
sides = st.floats(0.5, 300)
boxes = st.builds(Box, coordinates, coordinates, sides, sides, st.floats(0, 1))


@pytest.fixture
def shared(request):
    folder = request.config.rootpath.parent / "shared"
    if not folder.is_dir():
        pytest.skip("../shared is not there")
    return folder


@pytest.fixture
def yunet(shared):
    return FaceDetection(weights=shared / "weights" / "yunet_n_dynamic.onnx", min_score=MIN_SCORE)


@pytest.fixture
def follow(shared, yunet):
    """Sample a shared clip and find the face in its frames."""

    def follow(name, frame_rate_hz=5):
        finder = FaceFinder(yunet)
        frames = read_frames(shared / "clips" / name, frame_rate_hz)
        return [(frame, finder.find(frame.image)) for frame in frames]

    return follow


class FakeDetector:
    """Gives prepared detections, frame by frame, and notes what it was shown."""

    def __init__(self, *frames):
        self.frames = iter(frames)
        self.min_scores = []
        self.shown = []

    def setScoreThreshold(self, min_score):  # noqa: N802  # OpenCV's name
        self.min_scores.append(min_score)

    def setInputSize(self, size):  # noqa: N802
        self.size = size

    def detect(self, picture):
        assert picture.shape == (self.size[1], self.size[0], 3)
        self.shown.append(picture)
        found = next(self.frames)
        if not found:
            return 1, None
        rows = np.zeros((len(found), 15), np.float32)
        rows[:, :4] = [box[:4] for box in found]
        rows[:, 14] = [box.score for box in found]
        return 1, rows


@pytest.fixture
def finder_with(monkeypatch):
    def build(*frames):
        detector = FakeDetector(*frames)
        monkeypatch.setattr(faces, "_load", lambda weights: detector)
        return FaceFinder(FaceDetection(weights="yunet.onnx", min_score=0.7)), detector

    return build


def square(left, side, score=0.9):
    return Box(left, 0, side, side, score)


def test_overlap_of_boxes():
    assert square(0, 10).iou(square(0, 10)) == 1
    assert square(0, 10).iou(square(20, 10)) == 0
    assert square(0, 10).iou(square(5, 10)) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("candidates", "last", "expected"),
    [
        ([], None, None),
        ([], square(0, 10), None),
        ([square(0, 10), square(50, 12)], None, square(50, 12)),  # at first the largest
        ([square(50, 12), square(1, 10)], square(0, 10), square(1, 10)),  # then it is followed
        ([square(1, 10), square(50, 14)], square(0, 10), square(1, 10)),
        ([square(1, 10), square(50, 15)], square(0, 10), square(50, 15)),  # twice as large
        ([square(8, 10), square(50, 12)], square(0, 10), square(50, 12)),  # it jumped
    ],
)
def test_a_face_is_followed_until_it_jumps_or_is_outgrown(candidates, last, expected):
    assert choose(candidates, last) == expected


@given(st.lists(boxes, min_size=1), st.none() | boxes, st.randoms())
def test_the_choice_is_the_last_face_or_the_largest_in_whatever_order(candidates, last, random):
    chosen = choose(candidates, last)
    assert chosen in candidates
    assert choose(random.sample(candidates, len(candidates)), last) == chosen
    largest = max(box.area for box in candidates)
    assert chosen.area * LARGER_FACE_RATIO >= largest
    assert chosen.area == largest or chosen.iou(last) >= SAME_FACE_IOU


def test_a_face_is_followed_over_frames_and_over_a_gap(finder_with):
    small, large = square(10, 100), square(200, 120)
    finder, _ = finder_with([small], [large, small], [], [large, small], [large])
    image = Image.new("RGB", (DETECTION_SIDE_PX, DETECTION_SIDE_PX))
    found = [finder.find(image) for _ in range(5)]
    expected = [small, small, None, small, large]
    assert [box and box[:4] for box in found] == [box and box[:4] for box in expected]


@pytest.mark.parametrize(
    ("size", "scaled", "box"),
    [
        ((1280, 720), (320, 180), (40, 80, 120, 160)),
        ((160, 320), (160, 320), (10, 20, 30, 40)),
        ((80, 40), (320, 160), (2.5, 5, 7.5, 10)),
    ],
)
def test_pictures_are_scaled_and_boxes_scaled_back(finder_with, size, scaled, box):
    finder, detector = finder_with([Box(10, 20, 30, 40, 0.8)])
    found = finder.find(Image.new("RGB", size, (1, 2, 3)))
    assert detector.size == scaled
    assert found == pytest.approx((*box, 0.8))
    assert detector.shown[0][0, 0].tolist() == [3, 2, 1]  # in OpenCV's order
    assert detector.min_scores == [0.7]


def test_a_failure_of_opencv_is_the_clips(finder_with):
    import cv2

    finder, detector = finder_with()

    def fail(picture):
        cv2.resize(picture, (-1, -1))

    detector.detect = fail
    with pytest.raises(MediaError, match="OpenCV failed on a frame") as caught:
        finder.find(Image.new("RGB", (64, 48)))
    assert caught.value.step == "face"


@given(boxes, st.floats(0, 2))
def test_crops_are_square_and_centred(box, margin):
    crop = crop_face(_ramp(), box, margin)
    side_px = max(box.width, box.height) * (1 + 2 * margin)
    assert crop.width == crop.height == max(round(side_px), 1)
    x, y = box.left + box.width / 2, box.top + box.height / 2
    if 2 <= x < 198 and 2 <= y < 198:
        middle = np.asarray(crop)[crop.height // 2, crop.width // 2]
        assert abs(int(middle[0]) - x) <= 2
        assert abs(int(middle[1]) - y) <= 2


def _ramp():
    """Red says how far right a pixel is, green how far down."""
    down, across = np.mgrid[:200, :200].astype(np.uint8)
    return Image.fromarray(np.dstack([across, down, np.zeros_like(down)]))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_crops_of_any_mode_are_colour_pictures_padded_with_black(mode):
    image = Image.new("RGB", (20, 20), "white").convert(mode)
    if mode == "P":
        image = image.quantize(2)
        image.putpalette([255, 255, 255, 255, 255, 255])  # PIL pads with entry 0: white
    crop = crop_face(image, Box(-5, 0, 10, 10, 0.9), 0)
    assert crop.mode == "RGB"
    assert np.asarray(crop)[:, :5].max() == 0
    assert np.asarray(crop)[:, 5:].min() == 255


@pytest.mark.parametrize("what", ["missing", "empty", "text", "another network"])
def test_weights_that_are_not_yunet_s_are_named(tmp_path, what):
    path = tmp_path / "yunet.onnx"
    content = {"empty": b"", "text": b"not a network", "another network": _relu_network()}
    if what in content:
        path.write_bytes(content[what])
    reason = "No such file" if what == "missing" else "[a-z]"
    with pytest.raises(EncoderError, match=rf"yunet\.onnx cannot be used: .*{reason}") as caught:
        FaceFinder(FaceDetection(weights=path, min_score=MIN_SCORE))
    assert "Expected an ONNX file of YuNet" in str(caught.value)
    assert "face_weights:" in str(caught.value)
    assert "\n" not in str(caught.value)


def _relu_network():
    """Return a network of a single layer, from x to y."""
    x, y = (helper.make_tensor_value_info(name, 1, [1, 3, 8, 8]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    opset = helper.make_opsetid("", 13)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()


def test_the_detector_is_loaded_once_and_says_nothing(yunet, capfd):
    faces._load.cache_clear()
    first = FaceFinder(yunet)
    stricter = FaceFinder(yunet.model_copy(update={"min_score": 0.9}))
    assert first._detector is stricter._detector
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("size", [(1, 1), (2, 500), (500, 2), (31, 33), (3000, 1)])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "I;16"])
def test_pictures_of_any_size_and_mode_are_looked_at(yunet, size, mode):
    assert FaceFinder(yunet).find(Image.new(mode, size)) is None


@pytest.mark.parametrize("mode", ["L", "P", "RGBA"])
def test_a_face_is_found_in_any_mode(follow, yunet, mode):
    frame, box = follow("single_face.mp4", frame_rate_hz=1)[0]
    found = FaceFinder(yunet).find(frame.image.convert(mode))
    assert found is not None
    assert found.iou(box) > 0.9


def test_a_face_is_found_where_there_is_one_and_only_there(follow):
    assert np.mean([box is not None for _, box in follow("single_face.mp4")]) > 0.95
    assert {box for _, box in follow("no_face.mp4")} == {None}


def test_a_face_that_leaves_the_picture_is_gone(follow):
    found = [box is not None for _, box in follow("face_noface.mov")]
    assert found == sorted(found, reverse=True)  # there, then gone for good
    assert 0.2 < np.mean(found) < 0.6


@pytest.mark.parametrize("number", [10, 11, 12, 14, 18, 19, 20])
def test_a_speakers_face_is_followed(follow, number):
    found = [box for _, box in follow(f"liveportrait_d{number}.mp4")]
    assert None not in found
    for box, after in itertools.pairwise(found):
        across = after.left + after.width / 2 - box.left - box.width / 2
        down = after.top + after.height / 2 - box.top - box.height / 2
        assert math.hypot(across, down) < box.width


def test_the_same_frames_give_the_same_boxes(follow):
    runs = [[box for _, box in follow("liveportrait_d12.mp4")] for _ in range(2)]
    assert runs[0] == runs[1]
