import numpy as np
import pytest

from features.extraction import embed_files
from features.media.faces import MAX_GAP_S, Box, Tracks, by_rows
from features.media.frames import read_frames
from tests.media import video, write_media


def face(across, down=0.0, side=100.0):
    return Box(across - side / 2, down - side / 2, side, side, 0.9)


def linked(frames, rate_hz=5.0):
    """Track of every box, by frame, in the order in which the boxes were given."""
    tracks = Tracks()
    found = [tracks.link(boxes, k / rate_hz) for k, boxes in enumerate(frames)]
    for boxes, by_track in zip(frames, found, strict=True):
        assert sorted(by_track.values()) == sorted(boxes)
        assert list(by_track) == sorted(by_track)
    return [
        [next(k for k, other in by_track.items() if other is box) for box in boxes]
        for boxes, by_track in zip(frames, found, strict=True)
    ]


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


def test_tracks_do_not_hang_on_the_order_of_boxes_and_no_box_is_lost():
    rng = np.random.default_rng(0)
    frames = [[face(*rng.uniform(0, 300, 2), side=s) for s in (40, 60, 80, 100)] for _ in range(9)]
    one, other = Tracks(), Tracks()
    for k, boxes in enumerate(frames):
        assert one.link(boxes, k / 3) == other.link(boxes[::-1], k / 3)


def test_people_are_numbered_by_how_long_they_are_seen():
    track = np.array([5, 2, 2, 9, 9, 7, 2, 9])
    assert by_rows(track).tolist() == [2, 0, 0, 1, 1, 3, 0, 1]
    assert by_rows(track[:0]).tolist() == []


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
