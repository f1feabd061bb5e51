"""What a worker does with one clip: examine its file, or decode it once for all pieces asked for.

No pandas here, and no torch: workers start fast.
"""

import math
from collections.abc import Collection, Generator, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.encoders.pieces import Pictures, PieceKind, SoundPieces, SoundWindows, Texts
from features.errors import MediaError
from features.extraction.worker_process import Patience
from features.media.faces import Box, FaceDetection, FaceFinder, FaceRows
from features.media.files import check_duration, clip_sha256, probe
from features.media.frames import read_frames
from features.media.remote import FETCH_LIMIT_S, examine_once, local_file
from features.media.sound import read_track
from features.places import address_of

_PICTURES_PER_PART = 32
_SOUND_WORK = 1.0  # openSMILE takes 0.02 of the sound's length, 0.2 where windows overlap tenfold


@dataclass(frozen=True, eq=False)
class ClipToRead:
    """One clip, and what is wanted of it.

    Attributes
    ----------
    paths : tuple of str
        Files, or addresses, that held these bytes when they were indexed; the first that still
        does is read. Of a clip of words, see `features.transcripts.clips_of_words`, the words.
    sha256 : str
        Digest of the bytes.
    kinds : tuple of PieceKind
        The pieces wanted; below, each goes by its number in this order.
    max_duration_s : float
        A longer clip is not read.
    """

    paths: tuple[str, ...]
    sha256: str
    kinds: tuple[PieceKind, ...]
    max_duration_s: float = math.inf


@dataclass(frozen=True, repr=False, eq=False)
class Pieces:
    """Pieces of one kind from a stretch of a clip, in the order of time.

    Attributes
    ----------
    number : int
        Which kind.
    time_s : ndarray of float64, shape (n,)
        When they are, in clip time.
    values : ndarray, shape (n, ...)
        The pieces.
    """

    number: int
    time_s: NDArray[np.float64]
    values: NDArray[Any]

    def __post_init__(self) -> None:
        if self.time_s.shape != self.values.shape[:1]:
            raise ValueError(
                f"{self}: expected as many times as pieces; does `cut` or `embed` return both?"
            )

    def __repr__(self) -> str:
        shapes = f"time_s {self.time_s.shape}, values {self.values.shape} {self.values.dtype}"
        return f"Pieces(number {self.number}, {shapes})"


@dataclass
class ClipEnd:
    """What is known of a clip when all of its pieces have been handed over.

    Attributes
    ----------
    errors : dict of int to MediaError
        Why there are none, or not all, of a kind. Pictures may fail without sound, and the other
        way round.
    faces : dict of int to FaceRows
        What is known of the faces, for kinds that are cropped to them.
    """

    errors: dict[int, MediaError] = field(default_factory=dict)
    faces: dict[int, FaceRows] = field(default_factory=dict)


def read_clip(clip: ClipToRead) -> Generator[Pieces | Patience, None, ClipEnd]:
    """Decode one clip, once for all kinds of pieces of one rate, and make the pieces.

    Yields
    ------
    Pieces or Patience
        Pieces of some 32 frames, or of all the sound, each; `Patience` before long work.

    Returns
    -------
    ClipEnd
        What went wrong, and the shares of frames with a face.

    Raises
    ------
    MediaError
        Step ``read`` when no file holds the bytes that were indexed any more: the embedding would
        otherwise be filed under another clip's digest. Step ``probe`` when the clip is too long.
    PlaceError
        When an object store with the clip does not answer.
    """
    end = ClipEnd()
    for number, kind in enumerate(clip.kinds):
        if isinstance(kind, Texts):
            for time_s, values in kind.cut(clip.paths[0]):
                yield Pieces(number, time_s, values)
    if isinstance(clip.kinds[0], Texts):  # such a clip is nothing but its words
        return end
    paths = [Path(path) for path in clip.paths]
    if any(map(address_of, paths)):
        yield Patience(FETCH_LIMIT_S)
    path = _unchanged_file(paths, clip.sha256)
    check_duration(path, clip.max_duration_s)
    alike: dict[tuple[Any, float], dict[int, Any]] = {}  # what one decode serves
    for number, kind in enumerate(clip.kinds):
        assert not isinstance(kind, Texts)
        rate_hz = kind.frame_rate_hz if isinstance(kind, Pictures) else kind.sample_rate_hz
        cut = _cut_frames if isinstance(kind, Pictures) else _cut_sound
        alike.setdefault((cut, rate_hz), {})[number] = kind
    for (cut, rate_hz), kinds in alike.items():
        try:
            yield from cut(path, rate_hz, kinds, clip.max_duration_s, end)
        except MediaError as error:
            end.errors.update(dict.fromkeys(kinds, error))
    return end


def examine_clip(named: tuple[str, Path]) -> Generator[Patience, None, dict[str, object]]:
    """Hash and probe a clip, given with its id; returns columns of the clip table."""
    _, path = named
    yield Patience(FETCH_LIMIT_S if address_of(path) else 0)
    return examine_once(path, lambda file: {"sha256": clip_sha256(file), **asdict(probe(file))})


def _unchanged_file(paths: Iterable[Path], sha256: str) -> Path:
    error = MediaError("read", "the clip has no file")
    for path in paths:
        try:
            file = local_file(path)
            if clip_sha256(file) == sha256:
                return file
            reason = f"{address_of(path) or path} has changed since it was indexed: index it again"
            error = MediaError("read", reason)
        except MediaError as unreadable:
            error = unreadable
    raise error


def _cut_frames(
    path: Path, rate_hz: float, kinds: dict[int, Pictures], max_duration_s: float, end: ClipEnd
) -> Iterator[Pieces]:
    """Cut pieces from frames; each face detector looks once at a frame, for all kinds."""
    finders = {k.face: FaceFinder(k.face) for k in kinds.values() if k.face}
    n_frames = n_new = 0
    waiting: dict[int, list[tuple[float, NDArray[np.uint8]]]] = {number: [] for number in kinds}
    for frame in read_frames(path, rate_hz, max_duration_s=max_duration_s):
        n_frames += 1
        faces: dict[FaceDetection | None, Collection[Box]] = {None: ()}
        for detection, finder in finders.items():
            faces[detection] = finder.find(frame.image, frame.time_s).values()
        for number, kind in kinds.items():
            pieces = kind.cut(frame.image, faces[kind.face])
            waiting[number] += [(frame.time_s, piece) for piece in pieces]
        n_new += max(1, *map(len, faces.values()))
        if n_new >= _PICTURES_PER_PART:
            n_new = 0
            yield from _hand_over(waiting, kinds)
    yield from _hand_over(waiting, kinds, at_end=True)
    for number, kind in kinds.items():
        if kind.face is not None:
            end.faces[number] = finders[kind.face].rows()
            is_picture = n_frames == 1 and kind.face_missing == "whole_frame"
            if end.faces[number].share == 0 and not is_picture:
                reason = f"no frame shows a face with a score of {kind.face.min_score:g} or more"
                end.errors[number] = MediaError("face", reason)


def _hand_over(
    waiting: dict[int, list[tuple[float, NDArray[np.uint8]]]],
    kinds: dict[int, Pictures],
    at_end: bool = False,
) -> Iterator[Pieces]:
    for number, frames in waiting.items():
        for time_s, pieces in kinds[number].take(frames, at_end):
            yield Pieces(number, time_s, pieces)


def _cut_sound(
    path: Path,
    rate_hz: int,
    kinds: dict[int, SoundPieces | SoundWindows],
    max_duration_s: float,
    end: ClipEnd,
) -> Iterator[Pieces | Patience]:
    track = read_track(path, rate_hz, max_duration_s=max_duration_s)
    for number, kind in kinds.items():
        yield Patience(len(track.samples) / rate_hz * _SOUND_WORK)
        try:
            for time_s, values in kind.cut(track):
                yield Pieces(number, time_s, values)
        except MediaError as error:
            end.errors[number] = error
