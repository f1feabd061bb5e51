from pathlib import Path

import numpy as np
import pytest

from features.encoders import make_encoder
from features.encoders.preprocessing import Geometry
from features.extraction import reading
from features.extraction.reading import Pictures, ReadTask, Rest, file_sha256, read_clip
from features.extraction.recipes import FaceCrop, Recipe, recipe_of
from features.identity import Sampling
from features.media.faces import Box, FaceDetection
from features.media.files import MediaError

SAMPLING = Sampling(frame_rate_hz=10, sample_rate_hz=16000)
SMALL = Geometry(size_px=(16, 16))
WHOLE = Recipe(geometry=SMALL)


def cropped(missing: str = "whole_frame", margin: float = 0.0, min_score: float = 0.5) -> Recipe:
    detection = FaceDetection(weights=Path("yunet.onnx"), min_score=min_score)
    return Recipe(
        geometry=SMALL, face=FaceCrop(detection=detection, margin=margin, missing=missing)
    )


class _Finder:
    """Finds a face in every second frame, starting with the first `n_with_face`."""

    n_calls = 0
    every = 2

    def __init__(self, detection: FaceDetection) -> None:
        self._n = 0

    def find(self, image) -> Box | None:
        type(self).n_calls += 1
        self._n += 1
        return Box(8, 8, 20, 20, 0.9) if self.every and self._n % self.every == 1 else None


@pytest.fixture
def finder(monkeypatch):
    class Finder(_Finder):
        pass

    monkeypatch.setattr(reading, "FaceFinder", Finder)
    return Finder


def read(path: Path, recipes: dict, sound: dict | None = None):
    task = ReadTask((path,), file_sha256(path), SAMPLING, recipes, sound or {})
    *parts, rest = read_clip(task)
    assert isinstance(rest, Rest)
    taken: dict[Recipe, list[Pictures]] = {}
    for part in (part for part in parts if isinstance(part, Pictures)):
        taken.setdefault(part.recipe, []).append(part)
    times = {r: np.concatenate([p.time_s for p in of]).tolist() for r, of in taken.items()}
    return times, taken, rest


def test_a_clip_comes_in_parts_of_bounded_size(make_clip):
    path = make_clip(n_frames=80)
    times, taken, rest = read(path, {"a": WHOLE})
    assert times[WHOLE] == pytest.approx(np.arange(80) / 10)
    assert [len(part.pictures) for part in taken[WHOLE]] == [32, 32, 16]
    assert taken[WHOLE][0].pictures.shape[1:] == (3, 16, 16)
    assert rest.errors == {}


def test_time_for_the_sound_is_asked_for_by_its_length(make_clip):
    voice = make_encoder({"kind": "opensmile", "model": "eGeMAPSv02"})
    path = make_clip(n_frames=10, sound_s=20.0)
    task = ReadTask((path,), file_sha256(path), SAMPLING, {"a": WHOLE}, {"v": voice, "w": voice})
    pictures, *words, _ = read_clip(task)
    assert isinstance(pictures, Pictures)
    assert [word.extra_s for word in words] == pytest.approx([20, 20], rel=0.05)


def test_encoders_with_equal_recipes_share_their_pictures(make_clip):
    _, taken, _ = read(make_clip(), {"a": WHOLE, "b": Recipe(geometry=SMALL)})
    assert len(taken) == 1


def test_frames_without_a_face_are_left_out_or_kept_whole(make_clip, finder):
    whole_frame, leave_out = cropped(), cropped("leave_out")
    times, taken, rest = read(make_clip(), {"a": whole_frame, "b": leave_out, "c": WHOLE})
    assert times[whole_frame] == pytest.approx(np.arange(10) / 10)
    assert times[leave_out] == pytest.approx(np.arange(0, 10, 2) / 10)
    assert rest.face_share == {whole_frame: 0.5, leave_out: 0.5}
    both = [np.concatenate([p.pictures for p in taken[r]]) for r in (whole_frame, WHOLE)]
    assert np.array_equal(both[0][1::2], both[1][1::2])
    assert finder.n_calls == 10  # one detection served both recipes


def test_each_detection_is_done_on_its_own(make_clip, finder):
    read(make_clip(), {"a": cropped(min_score=0.5), "b": cropped(min_score=0.9)})
    assert finder.n_calls == 20


def test_a_clip_without_any_face_fails_for_encoders_that_crop(make_clip, finder):
    finder.every = 0
    _, _, rest = read(make_clip(), {"a": cropped(), "b": cropped("leave_out"), "c": WHOLE})
    assert {name: error.step for name, error in rest.errors.items()} == {"a": "face", "b": "face"}
    assert "no frame shows a face with a score of 0.5" in rest.errors["a"].reason


def test_sound_and_pictures_fail_each_on_their_own(make_clip):
    voice = make_encoder({"kind": "opensmile", "model": "eGeMAPSv02"})
    _, _, rest = read(make_clip(sound_s=0), {"a": WHOLE}, {"v": voice})
    assert list(rest.errors) == ["v"]
    times, _, rest = read(make_clip("x.m4a", n_frames=0), {"a": WHOLE}, {"v": voice})
    assert times == {}
    assert list(rest.errors) == ["a"]
    assert rest.sound["v"][1].shape == (1, 88)


def test_the_first_file_that_still_holds_the_bytes_is_read(make_clip, tmp_path):
    path = make_clip()
    digest = file_sha256(path)
    changed = make_clip("changed.mp4", n_frames=4)
    paths = (tmp_path / "gone.mp4", changed)
    with pytest.raises(MediaError, match=r"changed\.mp4 has changed since it was indexed"):
        next(read_clip(ReadTask(paths, digest, SAMPLING, {"a": WHOLE}, {})))
    first = next(read_clip(ReadTask((*paths, path), digest, SAMPLING, {"a": WHOLE}, {})))
    assert len(first.pictures) == 10


def test_an_encoder_s_recipe_follows_its_spec(tmp_path):
    weights = tmp_path / "yunet.onnx"
    weights.write_bytes(b"x")
    spec = {"kind": "torchvision", "model": "resnet18", "weights": "random"}
    assert recipe_of(make_encoder(spec)).face is None
    spec |= {"face": "yunet", "face_weights": str(weights), "face_margin": 0.4}
    face = recipe_of(make_encoder(spec)).face
    assert face == FaceCrop(
        detection=FaceDetection(weights=weights, min_score=0.6), margin=0.4, missing="whole_frame"
    )


def test_face_keys_without_a_detector_are_an_error():
    spec = {"kind": "torchvision", "model": "resnet18", "weights": "random", "face_margin": 0.4}
    with pytest.raises(ValueError, match="face_margin need `face: yunet`"):
        make_encoder(spec)
