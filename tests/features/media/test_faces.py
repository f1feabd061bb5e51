import itertools
from pathlib import Path
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper
from PIL import Image

import features.encoders
from features.errors import EncoderError, MediaError
from features.extraction import embed_files
from features.media import faces
from features.media.faces import (
    ALIGNED_POINTS,
    LARGER_FACE_RATIO,
    MAX_GAP_S,
    SAME_FACE_IOU,
    Box,
    FaceDetection,
    FaceFinder,
    Tracks,
    align_face,
    by_rows,
    choose,
    crop_face,
)
from features.media.frames import read_frames
from tests.media import video, write_media

YUNET = FaceDetection(
    weights=Path(features.encoders.__file__).parent / "files" / "yunet.onnx", min_score=0.6
)

coordinates = st.floats(-50, 500)
sides = st.floats(0.5, 300)
boxes = st.builds(Box, coordinates, coordinates, sides, sides, st.floats(0, 1))


@pytest.fixture
def follow(shared):
    """Sample a shared clip and find the face in its frames."""
    folder = shared / "clips"

    def follow(name):
        finder = FaceFinder(YUNET)
        return [finder.find(frame.image).get(0) for frame in read_frames(folder / name, 5)]

    return follow


@pytest.fixture
def detector(monkeypatch):
    detector = Mock()
    monkeypatch.setattr(faces, "_load", lambda weights: detector)
    return detector


def detections(*boxes: Box):
    """What OpenCV returns of these."""
    rows = [[*box[:4], *(box.points or [0] * 10), box.score] for box in boxes]
    rows = np.array(rows, np.float32)
    return 1, rows if boxes else None


def square(left, side):
    return Box(left, 0, side, side, 0.5)


@pytest.mark.parametrize(
    ("candidates", "last", "expected"),  # left, and side
    [
        ([], None, None),
        ([], (0, 10), None),
        ([(0, 10), (50, 12)], None, (50, 12)),  # at first the largest
        ([(50, 12), (1, 10)], (0, 10), (1, 10)),  # then it is followed
        ([(1, 10), (50, 14)], (0, 10), (1, 10)),
        ([(1, 10), (50, 15)], (0, 10), (50, 15)),  # twice as large
        ([(5, 10), (50, 12)], (0, 10), (5, 10)),  # overlaps by a third
        ([(6, 10), (50, 12)], (0, 10), (50, 12)),  # it jumped
    ],
)
def test_a_face_is_followed_until_it_jumps_or_is_outgrown(candidates, last, expected):
    chosen = choose([square(*each) for each in candidates], last and square(*last))
    assert chosen == (expected and square(*expected))


@given(st.lists(boxes, min_size=1), st.none() | boxes, st.randoms())
def test_the_choice_is_the_last_face_or_the_largest_in_whatever_order(candidates, last, random):
    chosen = choose(candidates, last)
    assert chosen in candidates
    assert choose(random.sample(candidates, len(candidates)), last) == chosen
    largest = max(box.area for box in candidates)
    assert chosen.area * LARGER_FACE_RATIO >= largest
    assert chosen.area == largest or chosen.iou(last) >= SAME_FACE_IOU


def test_a_face_is_followed_over_frames_and_over_a_gap(detector):
    small, large = square(10, 100), square(200, 120)
    found = [(small,), (large, small), (), (large, small), (large,)]
    detector.detect.side_effect = [detections(*each) for each in found]
    expected = small, small, None, small, large
    finder, image = FaceFinder(YUNET), Image.new("RGB", (320, 320))
    chosen = [finder.find(image).get(0) for _ in range(5)]
    points = (0.0,) * 10
    assert chosen == [each and each._replace(points=points) for each in expected]
    assert finder.rows().share == 0.8


@pytest.mark.parametrize(
    ("size", "scaled", "box"),
    [
        ((1280, 720), (320, 180), (40, 80, 120, 160)),
        ((160, 320), (160, 320), (10, 20, 30, 40)),
        ((80, 40), (320, 160), (2.5, 5, 7.5, 10)),
    ],
)
def test_pictures_are_scaled_and_boxes_scaled_back(detector, size, scaled, box):
    detector.detect.return_value = detections(Box(10, 20, 30, 40, 0.5, (10, 20) * 5))
    found = FaceFinder(YUNET).find(Image.new("RGB", size, (1, 2, 3)))
    assert found == {0: (*box, 0.5, box[:2] * 5)}
    detector.setScoreThreshold.assert_called_once_with(0.6)
    detector.setInputSize.assert_called_once_with(scaled)
    (shown,) = detector.detect.call_args.args
    assert shown.shape == (*scaled[::-1], 3)
    assert shown[0, 0].tolist() == [3, 2, 1]  # in OpenCV's order


def test_a_failure_of_opencv_is_the_clips(detector):
    detector.detect.side_effect = cv2.error("odd")
    with pytest.raises(MediaError, match="^face: .*OpenCV failed on a frame: odd"):
        FaceFinder(YUNET).find(Image.new("RGB", (64, 48)))


@given(boxes, st.floats(0, 2))
def test_crops_are_square_and_centred(box, margin):
    down, across = np.mgrid[:200, :200].astype(np.uint8)
    ramp = Image.fromarray(np.dstack([across, down, np.zeros_like(down)]))
    crop = crop_face(ramp, box, margin)
    side_px = max(box.width, box.height) * (1 + 2 * margin)
    assert crop.width == crop.height == max(round(side_px), 1)
    x, y = box.left + box.width / 2, box.top + box.height / 2
    if 2 <= x < 198 and 2 <= y < 198:
        middle = np.asarray(crop, int)[crop.height // 2, crop.width // 2]
        assert np.abs(middle[:2] - (x, y)).max() <= 2


@pytest.mark.parametrize(("turn", "margin"), [(0, 0), (30, 0), (-75, 0.25), (180, 0.1)])
@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_aligned_faces_have_their_points_where_recognisers_want_them(turn, margin, scale):
    marks = np.zeros((600, 600, 3), np.uint8)
    where = (ALIGNED_POINTS - 56 - 56j) * scale * np.exp(1j * np.deg2rad(turn)) + 300 + 300j
    down, across = np.mgrid[:600, :600] + 0.5
    for point in where:
        marks[np.abs(across + 1j * down - point) < 4 * scale] = 255
    points = tuple(np.column_stack([where.real, where.imag]).ravel().tolist())
    box = Box(250, 250, 100, 100, 0.9, points)
    aligned = align_face(Image.fromarray(marks), box, margin)
    side = 112 * (1 + 2 * margin)
    assert aligned.size == (round(side * scale),) * 2
    light = np.asarray(aligned.convert("L"), float)
    down, across = np.mgrid[: aligned.height, : aligned.width] + 0.5
    for point in (ALIGNED_POINTS + margin * 112 * (1 + 1j)) * aligned.width / side:
        near = light * (np.abs(across + 1j * down - point) < 7 * scale)
        centre = (near * (across + 1j * down)).sum() / near.sum()
        assert abs(centre - point) < 0.5 * scale


def test_crops_are_padded_with_black():
    crop = np.asarray(crop_face(Image.new("RGB", (20, 20), "white"), Box(-5, 0, 10, 10, 0.9), 0))
    assert (crop[:, :5].max(), crop[:, 5:].min()) == (0, 255)


def relu() -> bytes:
    """Another network than YuNet."""
    x, y = (helper.make_tensor_value_info(name, 1, [1, 3, 8, 8]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    opset = helper.make_opsetid("", 13)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()


@pytest.mark.parametrize("content", [None, b"", b"not a network", relu()], ids=range(4))
def test_weights_that_are_not_yunet_s_are_named_in_one_line(tmp_path, capfd, content):
    path = tmp_path / "yunet.onnx"
    if content is not None:
        path.write_bytes(content)
    reason = "No such file" if content is None else "[a-z]"
    with pytest.raises(EncoderError, match=rf"yunet\.onnx cannot be used: .*{reason}.*face_weig"):
        FaceFinder(YUNET.model_copy(update={"weights": path}))
    FaceFinder(YUNET)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("size", [(1, 1), (2, 500), (500, 2), (31, 33), (3000, 1)])
def test_pictures_of_any_size_are_looked_at(size):
    assert FaceFinder(YUNET).find(Image.new("RGB", size)) == {}


def test_a_face_is_found_where_there_is_one_and_only_there(follow):
    assert np.mean([box is not None for box in follow("single_face.mp4")]) > 0.95
    assert set(follow("no_face.mp4")) == {None}
    leaving = [box is not None for box in follow("face_noface.mov")]
    assert leaving == sorted(leaving, reverse=True)  # there, then gone for good
    assert 0.2 < np.mean(leaving) < 0.6


@pytest.mark.parametrize("number", [10, 11, 12, 14, 18, 19, 20])
def test_a_speakers_face_is_followed(follow, number):
    found = follow(f"liveportrait_d{number}.mp4")
    for box, after in itertools.pairwise(found):
        assert abs(after.centre - box.centre) < box.width
    assert number != 12 or found == follow("liveportrait_d12.mp4")


@pytest.mark.parametrize("align", [False, True])
def test_two_people_in_a_clip_have_a_track_each(shared, tmp_path, align):
    """Two real clips side by side, one of which ends first."""
    clips = [read_frames(shared / "clips" / f"liveportrait_d{n}.mp4", 5) for n in (10, 12)]
    film = []
    for number, frames in zip(range(10), zip(*clips, strict=False), strict=False):
        pictures = [np.asarray(frame.image.resize((256, 256))) for frame in frames]
        film.append(np.hstack([pictures[0], pictures[1] * np.uint8(number < 6)]))
    path = write_media(tmp_path / "two.mp4", video(film, rate_hz=5, options={"crf": "5"}))
    encoder = {"kind": "expression", "who": "all", "face_align": align}
    store, failures = embed_files([path], encoder, frame_rate_hz=5, progress=False)
    assert failures.empty
    assert store.face_score.min() > 0.6
    seen_s = [store.time_s[store.track == k].tolist() for k in (0, 1)]
    assert seen_s == [pytest.approx(np.arange(n) / 5) for n in (10, 6)]


def face(across, down=0.0, side=100.0):
    return Box(across - side / 2, down - side / 2, side, side, 0.9)


def linked(frames, rate_hz=5.0):
    """Track of every box, by frame; of boxes in another order the same."""
    tracks, other = Tracks(), Tracks()
    found = []
    for k, boxes in enumerate(frames):
        by_track = tracks.link(boxes, k / rate_hz)
        assert sorted(by_track.values()) == sorted(boxes)
        assert list(by_track.items()) == list(other.link(boxes[::-1], k / rate_hz).items())
        found.append([{box: track for track, box in by_track.items()}[box] for box in boxes])
    return found


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("step_px", [20, 60])
def test_two_who_pass_each_other_stay_who_they_are(step_px, hidden):
    """Also where the one behind is not seen while they overlap, as detectors have it."""
    frames = []
    for across in range(-300, 301, step_px):
        one, other = face(across), face(-across, 5, side=95)
        is_behind = hidden and one.iou(other) > 0.3
        frames.append([one] if is_behind else [one, other])
    assert {tuple(tracks) for tracks in linked(frames)} == {(0, 1), (0,) if hidden else (0, 1)}


@pytest.mark.parametrize(("gap_s", "track"), [(1.0, 1), (MAX_GAP_S - 0.2, 1), (2 * MAX_GAP_S, 2)])
def test_who_comes_back_soon_is_the_same_and_later_somebody_else(gap_s, track):
    stays, leaves = face(0, side=120), face(400)
    frames = [[stays, leaves]] * 3 + [[stays]] * round(gap_s * 5) + [[stays, leaves]] * 2
    assert linked(frames)[-1] == [0, track]


def test_between_rare_frames_people_stay_and_a_jump_is_somebody_else():
    frames = [[face(0), face(300, side=90)], [face(20), face(290, side=90)], [face(25), face(500)]]
    assert linked(frames, rate_hz=0.1) == [[0, 1], [0, 1], [0, 2]]


def test_of_many_faces_that_jump_none_is_lost():
    rng = np.random.default_rng(0)
    linked([[face(*rng.uniform(0, 300, 2), side=s) for s in (40, 60, 80, 100)] for _ in range(9)])


def test_people_are_numbered_by_how_long_they_are_seen():
    track = np.array([5, 2, 2, 9, 9, 7, 2, 9])
    assert by_rows(track).tolist() == [2, 0, 0, 1, 1, 3, 0, 1]
    assert by_rows(track[:0]).tolist() == []
