"""What a decode worker does with one clip: frames for every geometry, and sound embeddings."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.encoders import SoundEncoder
from features.identity import Sampling
from features.media import MediaError, read_frames, read_sound
from features.preprocessing import Geometry


@dataclass(frozen=True)
class ReadTask:
    """One clip to read.

    Attributes
    ----------
    path : Path
        The media file.
    sha256 : str
        Digest of its bytes when it was indexed.
    sampling : Sampling
        How frames and sound are sampled.
    geometries : mapping of str to Geometry
        By name of a frame encoder; equal geometries share one array of pictures.
    sound_encoders : mapping of str to SoundEncoder
        By encoder name.
    """

    path: Path
    sha256: str
    sampling: Sampling
    geometries: Mapping[str, Geometry]
    sound_encoders: Mapping[str, SoundEncoder]


@dataclass
class ReadResult:
    """What came out of one clip. Frames may have failed without sound, and the other way round.

    Attributes
    ----------
    frame_time_s : ndarray of float64, shape (n_frames,)
        When the frames are shown.
    pictures : dict of Geometry to ndarray of uint8, shape (n_frames, 3, height, width)
        Empty when no frames were asked for, or when they failed.
    sound : dict of str to (time_s, embedding)
        By name of a sound encoder.
    errors : dict of str to MediaError
        By name of a frame or sound encoder; an encoder has either an error or its share above.
    """

    frame_time_s: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    pictures: dict[Geometry, NDArray[np.uint8]] = field(default_factory=dict)
    sound: dict[str, tuple[NDArray[np.float64], NDArray[np.float32]]] = field(default_factory=dict)
    errors: dict[str, MediaError] = field(default_factory=dict)

    @classmethod
    def failed(cls, task: ReadTask, error: MediaError) -> "ReadResult":
        """Return the result of a task that came to nothing for any encoder."""
        return cls(errors=dict.fromkeys([*task.geometries, *task.sound_encoders], error))


def read_clip(task: ReadTask) -> ReadResult:
    """Decode one clip once and prepare all that the encoders need of it.

    Raises
    ------
    MediaError
        Step ``read`` when the file is gone or is no longer the one that was indexed: its embedding
        would otherwise be filed under another clip's digest.
    """
    _check_unchanged(task)
    result = ReadResult()
    if task.geometries:
        try:
            result.frame_time_s, result.pictures = _read_pictures(task)
        except MediaError as error:
            result.errors.update(dict.fromkeys(task.geometries, error))
    if task.sound_encoders:
        _embed_sound(task, result)
    return result


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


def _check_unchanged(task: ReadTask) -> None:
    if file_sha256(task.path) != task.sha256:
        raise MediaError("read", f"{task.path} has changed since it was indexed: index it again")


def _read_pictures(
    task: ReadTask,
) -> tuple[NDArray[np.float64], dict[Geometry, NDArray[np.uint8]]]:
    times: list[float] = []
    pictures: dict[Geometry, list[NDArray[np.uint8]]] = {
        each: [] for each in task.geometries.values()
    }
    for frame in read_frames(task.path, task.sampling.frame_rate_hz):
        times.append(frame.time_s)
        for geometry, taken in pictures.items():
            taken.append(geometry.apply(frame.image))
    return np.array(times), {geometry: np.stack(taken) for geometry, taken in pictures.items()}


def _embed_sound(task: ReadTask, result: ReadResult) -> None:
    try:
        sound = read_sound(task.path, task.sampling.sample_rate_hz)
    except MediaError as error:
        result.errors.update(dict.fromkeys(task.sound_encoders, error))
        return
    for name, encoder in task.sound_encoders.items():
        try:
            result.sound[name] = encoder.embed(sound, task.sampling.sample_rate_hz)
        except MediaError as error:
            result.errors[name] = error
