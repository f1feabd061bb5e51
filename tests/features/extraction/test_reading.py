from pathlib import Path

import numpy as np
import pytest

from features.encoders import make_encoder
from features.encoders.pieces import Geometry, Pictures, SoundPieces
from features.errors import MediaError
from features.extraction import reading
from features.extraction.reading import ClipToRead, Pieces, read_clip
from features.extraction.worker_process import Patience
from features.identity import Sampling
from features.media import faces
from features.media.faces import Box, FaceDetection, FaceFinder, FaceRows
from features.media.files import clip_sha256

SAMPLING = Sampling(frame_rate_hz=10, sample_rate_hz=16000)
SMALL = Geometry(size_px=(16, 16))
WHOLE = Pictures(frame_rate_hz=10, geometry=SMALL)
VOICE = make_encoder({"kind": "opensmile", "model": "eGeMAPSv02"}).pieces(SAMPLING)


def cropped(missing: str = "whole_frame", margin: float = 0.0, min_score: float = 0.5) -> Pictures:
    face = FaceDetection(weights=Path("yunet.onnx"), min_score=min_score)
    return Pictures(
        frame_rate_hz=10, geometry=SMALL, face=face, face_margin=margin, face_missing=missing
    )


@pytest.fixture
def finder(monkeypatch):
    class Finder(FaceFinder):
        """Finds two faces in every second frame; the first one shows trackers the small one."""

        n_calls = 0
        every = 2

        def _candidates(self, image) -> list[Box]:
            Finder.n_calls += 1
            if not self.every or len(self._found) % self.every:
                return []
            large, small = Box(8, 8, 20, 20, 0.9), Box(1, 1, 9, 9, 0.75)
            return [small] if self._tracks and not self._found else [small, large]

    monkeypatch.setattr(faces, "_load", lambda weights: None)
    monkeypatch.setattr(reading, "FaceFinder", Finder)
    return Finder


def parts_of(clip: ClipToRead) -> tuple[list, list]:
    """What a worker hands over, and what it says at the end of each kind."""
    parts, reading_it = [], read_clip(clip)
    while True:
        try:
            parts.append(next(reading_it))
        except StopIteration as end:
            return parts, [end.value[name] for name in clip.kinds]


def to_read(path: Path, *kinds) -> ClipToRead:
    return ClipToRead(clip_sha256(path), str(path), {str(k): kind for k, kind in enumerate(kinds)})


def read(path: Path, *kinds) -> tuple[dict[int, list[Pieces]], list]:
    parts, ends = parts_of(to_read(path, *kinds))
    taken: dict[int, list[Pieces]] = {}
    for part in parts:
        if isinstance(part, Pieces):
            for name in part.takers:
                taken.setdefault(int(name), []).append(part)
    return taken, ends


def times(parts: list[Pieces]) -> list[float]:
    return np.concatenate([part.time_s for part in parts]).tolist()


def test_a_clip_comes_in_parts_of_bounded_size(make_clip):
    taken, end = read(make_clip(n_frames=80), WHOLE)
    assert times(taken[0]) == pytest.approx(np.arange(80) / 10)
    assert [len(part.values) for part in taken[0]] == [32, 32, 16]
    assert taken[0][0].values.shape[1:] == (3, 16, 16)
    assert end == [FaceRows()]


def test_kinds_of_other_rates_are_read_each_at_its_own(make_clip):
    slow, low = WHOLE.model_copy(update={"frame_rate_hz": 2}), SoundPieces(8000, VOICE.transform)
    taken, end = read(make_clip(), WHOLE, slow, VOICE, low)
    assert [len(times(taken[number])) for number in range(4)] == [10, 2, 1, 1]
    assert not np.array_equal(taken[2][0].values, taken[3][0].values)
    assert end == [FaceRows()] * 4


def test_time_for_the_sound_is_asked_for_by_its_length(make_clip):
    path = make_clip(n_frames=10, sound_s=20.0)
    other = make_encoder({"kind": "opensmile", "model": "GeMAPSv01b"}).pieces(SAMPLING)
    parts, _ = parts_of(to_read(path, WHOLE, VOICE, other))
    words = [part.extra_s for part in parts if isinstance(part, Patience)]
    assert words == pytest.approx([20, 20], rel=0.05)


def test_pieces_have_as_many_times_as_values():
    with pytest.raises(ValueError, match=r"time_s \(2,\), values \(3, 1\) float32.*as many times"):
        Pieces(("x",), np.zeros(2), np.zeros((3, 1), np.float32))


def test_frames_without_a_face_are_left_out_or_kept_whole(make_clip, finder):
    taken, end = read(make_clip(), cropped(), cropped("leave_out"), WHOLE)
    assert times(taken[0]) == pytest.approx(np.arange(10) / 10)
    assert times(taken[1]) == pytest.approx(np.arange(0, 10, 2) / 10)
    assert end == [FaceRows(0.5), FaceRows(0.5), FaceRows()]
    both = [np.concatenate([part.values for part in taken[n]]) for n in (0, 2)]
    assert np.array_equal(both[0][1::2], both[1][1::2])
    assert finder.n_calls == 10  # one detection served both crops
    read(make_clip(), cropped(min_score=0.5), cropped(min_score=0.9))
    assert finder.n_calls == 10 + 20  # and these have one each


def test_every_face_has_a_piece_of_its_own_and_its_track(make_clip, finder):
    one = cropped("leave_out")
    everyone = one.model_copy(update={"face": one.face.model_copy(update={"who": "all"})})
    taken, end = read(make_clip(), one, everyone)
    assert times(taken[1]) == pytest.approx([0, 0.2, 0.2, 0.4, 0.4, 0.6, 0.6, 0.8, 0.8])
    share, track, score = end[1]
    assert (share, track.tolist()) == (0.5, [0, 0, 1, 0, 1, 0, 1, 0, 1])
    assert score.tolist() == pytest.approx(np.where(track == 1, 0.9, 0.75))
    first, both = (np.concatenate([part.values for part in taken[n]]) for n in (0, 1))
    assert np.array_equal(both[2::2], first[1:])


def test_a_clip_without_any_face_fails_for_encoders_that_crop(make_clip, finder):
    finder.every = 0
    _, end = read(make_clip(), cropped(), cropped("leave_out"), WHOLE)
    assert [each.step for each in end[:2]] == ["face", "face"]
    assert "no frame shows a face with a score of 0.5" in end[0].reason
    assert end[2] == FaceRows()


def test_sound_and_pictures_fail_each_on_their_own(make_clip):
    _, end = read(make_clip(sound_s=0), WHOLE, VOICE)
    assert (end[0], end[1].step) == (FaceRows(), "stream")
    taken, end = read(make_clip("x.m4a", n_frames=0), WHOLE, VOICE)
    assert (end[0].step, end[1]) == ("stream", FaceRows())
    assert list(taken) == [1]
    assert taken[1][0].values.shape == (1, 88)


def test_a_file_that_has_changed_is_not_read(make_clip):
    clip = to_read(make_clip(), WHOLE)
    make_clip(n_frames=4)
    with pytest.raises(MediaError, match=r"clip\.mp4 has changed since it was indexed"):
        next(read_clip(clip))


def test_an_encoder_s_pieces_follow_its_spec(tmp_path):
    weights = tmp_path / "yunet.onnx"
    weights.write_bytes(b"x")
    spec = {"kind": "torchvision", "model": "resnet18", "weights": "random"}
    assert make_encoder(spec).pieces(SAMPLING).face is None
    spec |= {"face": "yunet", "face_weights": str(weights), "face_margin": 0.4}
    pieces = make_encoder(spec).pieces(SAMPLING)
    assert pieces.face == FaceDetection(weights=weights, min_score=0.6)
    assert (pieces.face_margin, pieces.face_missing) == (0.4, "whole_frame")
