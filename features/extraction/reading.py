"""What a decode worker does with one clip: pictures for every recipe, and sound embeddings."""

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from features.encoders import EncoderError, SoundEncoder
from features.extraction.recipes import FaceCrop, Recipe
from features.extraction.worker_process import Failure, Patience
from features.identity import Sampling
from features.media.faces import Box, FaceDetection, FaceFinder, crop_face
from features.media.files import MediaError, check_duration
from features.media.frames import Frame, read_frames
from features.media.sound import read_sound

_FRAMES_PER_PART = 32
_SOUND_WORK = 1.0  # openSMILE takes 0.02 of the sound's length, 0.2 where windows overlap tenfold


@dataclass(frozen=True)
class ReadTask:
    """One clip to read.

    Attributes
    ----------
    paths : tuple of Path
        Files that held these bytes when they were indexed; the first that still does is read.
    sha256 : str
        Digest of the bytes.
    sampling : Sampling
        How frames and sound are sampled.
    recipes : mapping of str to Recipe
        By name of a frame encoder.
    sound_encoders : mapping of str to SoundEncoder
        By encoder name.
    max_duration_s : float
        A longer clip is not read.
    """

    paths: tuple[Path, ...]
    sha256: str
    sampling: Sampling
    recipes: Mapping[str, Recipe]
    sound_encoders: Mapping[str, SoundEncoder]
    max_duration_s: float = math.inf

    def with_path(self, path: Path) -> "ReadTask":
        """Return the task with one more file of the same bytes."""
        return replace(self, paths=(*self.paths, path))


@dataclass(frozen=True)
class Pictures:
    """A stretch of a clip, as one recipe shows it.

    Attributes
    ----------
    recipe : Recipe
        What was done to the frames.
    time_s : ndarray of float64, shape (n,)
        When the frames are shown.
    pictures : ndarray of uint8, shape (n, 3, height, width)
        The pictures.
    """

    recipe: Recipe
    time_s: NDArray[np.float64]
    pictures: NDArray[np.uint8]


@dataclass
class Rest:
    """What is known of a clip when all of its pictures have been handed over.

    Attributes
    ----------
    sound : dict of str to (time_s, embedding)
        By name of a sound encoder.
    face_share : dict of Recipe to float
        Share of the clip's frames with a face, for recipes that crop to it.
    errors : dict of str to MediaError
        By name of a frame or sound encoder. Frames may fail without sound, and the other way round.
    """

    sound: dict[str, tuple[NDArray[np.float64], NDArray[np.float32]]] = field(default_factory=dict)
    face_share: dict[Recipe, float] = field(default_factory=dict)
    errors: dict[str, MediaError] = field(default_factory=dict)


def read_clip(task: ReadTask) -> Iterator[Pictures | Patience | Rest]:
    """Decode one clip once and prepare all that the encoders need of it, part by part.

    Yields
    ------
    Pictures, Patience or Rest
        Stretches of the clip, at most 32 frames each; a word before long work on its sound; the
        rest comes last.

    Raises
    ------
    MediaError
        Step ``read`` when no file holds the bytes that were indexed any more: the embedding would
        otherwise be filed under another clip's digest. Step ``probe`` when the clip is too long.
    """
    path = _unchanged_file(task)
    check_duration(path, task.max_duration_s)
    rest = Rest()
    if task.recipes:
        camera = _Camera(set(task.recipes.values()))
        try:
            frames = read_frames(
                path, task.sampling.frame_rate_hz, max_duration_s=task.max_duration_s
            )
            for frame in frames:
                camera.take(frame)
                if camera.n_waiting == _FRAMES_PER_PART:
                    yield from camera.hand_over()
            yield from camera.hand_over()
        except MediaError as error:
            rest.errors.update(dict.fromkeys(task.recipes, error))
        else:
            _judge_faces(task, camera, rest)
    if task.sound_encoders:
        yield from _embed_sound(path, task, rest)
    yield rest


def file_sha256(path: Path) -> str:
    """SHA-256 of a clip's bytes, in hex.

    Raises
    ------
    MediaError
        Step ``read`` when the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise MediaError("read", f"there is no file {path}") from None
    except OSError as error:
        raise MediaError("read", f"{path} cannot be read: {error.strerror}") from None


def clip_error(failure: Failure, step: str) -> MediaError:
    """Say what failed a clip that was worked on.

    Parameters
    ----------
    failure : Failure
        What came of the work.
    step : str
        What was being done, where the failure does not say it.

    Raises
    ------
    EncoderError
        When it is no fault of the clip: every other clip would fail as well.
    """
    if isinstance(failure.error, EncoderError):
        raise failure.error
    if isinstance(failure.error, MediaError):
        return failure.error
    return MediaError(step, failure.reason)


class _Camera:
    """Turns frames into pictures, detecting faces once for all recipes."""

    def __init__(self, recipes: set[Recipe]) -> None:
        self._finders = {r.face.detection: FaceFinder(r.face.detection) for r in recipes if r.face}
        self._taken: dict[Recipe, list[tuple[float, NDArray[np.uint8]]]] = {r: [] for r in recipes}
        self._n_frames = 0
        self._n_with_face = dict.fromkeys(self._finders, 0)
        self.n_waiting = 0

    def take(self, frame: Frame) -> None:
        boxes = {detection: finder.find(frame.image) for detection, finder in self._finders.items()}
        self._n_frames += 1
        for detection, box in boxes.items():
            self._n_with_face[detection] += box is not None
        for recipe, taken in self._taken.items():
            image = _seen(frame.image, recipe.face, boxes)
            if image is not None:
                taken.append((frame.time_s, recipe.geometry.apply(image)))
        self.n_waiting += 1

    def hand_over(self) -> Iterator[Pictures]:
        self.n_waiting = 0
        for recipe, taken in self._taken.items():
            if taken:
                times, pictures = zip(*taken, strict=True)
                taken.clear()
                yield Pictures(recipe, np.array(times), np.stack(pictures))

    def face_share(self, crop: FaceCrop) -> float:
        return self._n_with_face[crop.detection] / self._n_frames


def _seen(
    image: Image.Image, crop: FaceCrop | None, boxes: Mapping[FaceDetection, Box | None]
) -> Image.Image | None:
    """Return what of a frame a recipe takes; None when it is left out."""
    if crop is None:
        return image
    box = boxes[crop.detection]
    if box is not None:
        return crop_face(image, box, crop.margin)
    return image if crop.missing == "whole_frame" else None


def _judge_faces(task: ReadTask, camera: _Camera, rest: Rest) -> None:
    for name, recipe in task.recipes.items():
        if recipe.face is None:
            continue
        share = rest.face_share[recipe] = camera.face_share(recipe.face)
        if share == 0:
            score = recipe.face.detection.min_score
            reason = f"no frame shows a face with a score of {score:g} or more"
            rest.errors[name] = MediaError("face", reason)


def _unchanged_file(task: ReadTask) -> Path:
    error = MediaError("read", "the clip has no file")
    for path in task.paths:
        try:
            if file_sha256(path) == task.sha256:
                return path
            reason = f"{path} has changed since it was indexed: index it again"
            error = MediaError("read", reason)
        except MediaError as unreadable:
            error = unreadable
    raise error


def _embed_sound(path: Path, task: ReadTask, rest: Rest) -> Iterator[Patience]:
    rate_hz = task.sampling.sample_rate_hz
    try:
        sound = read_sound(path, rate_hz, max_duration_s=task.max_duration_s)
    except MediaError as error:
        rest.errors.update(dict.fromkeys(task.sound_encoders, error))
        return
    for name, encoder in task.sound_encoders.items():
        yield Patience(len(sound) / rate_hz * _SOUND_WORK)
        try:
            rest.sound[name] = encoder.embed(sound, rate_hz)
        except MediaError as error:
            rest.errors[name] = error
