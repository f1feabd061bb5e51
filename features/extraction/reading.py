"""What a worker does with one clip: examine its file, or decode it once for all pieces asked for.

No pandas here, and no torch: workers start fast.
"""

import math
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

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

Takers = tuple[str, ...]
End = MediaError | FaceRows

_PICTURES_PER_PART = 32
_SOUND_WORK = 1.0  # openSMILE takes 0.02 of the sound's length, 0.2 where windows overlap tenfold


class ClipToRead(NamedTuple):
    """One clip, and what is wanted of it.

    Attributes
    ----------
    sha256 : str
        Digest of its bytes.
    path : str
        A file, or address, that held these bytes when it was indexed. Of a clip of words, see
        `features.transcripts.clips_of_words`, the words.
    kinds : mapping of str to PieceKind
        The pieces that are wanted, by the encoder that takes them.
    max_duration_s : float
        A longer clip is not read; what its header says is not trusted.
    """

    sha256: str
    path: str
    kinds: Mapping[str, PieceKind]
    max_duration_s: float = math.inf


@dataclass(frozen=True, repr=False, eq=False)
class Pieces:
    """Pieces of one kind from a stretch of a clip, in the order of time.

    Attributes
    ----------
    takers : tuple of str
        The encoders that take them.
    time_s : ndarray of float64, shape (n,)
        When they are, in clip time.
    values : ndarray, shape (n, ...)
        The pieces.
    """

    takers: Takers
    time_s: NDArray[np.float64]
    values: NDArray[Any]

    def __post_init__(self) -> None:
        if self.time_s.shape != self.values.shape[:1]:
            raise ValueError(
                f"{self}: expected as many times as pieces; does `cut` or `embed` return both?"
            )

    def __repr__(self) -> str:
        shapes = f"time_s {self.time_s.shape}, values {self.values.shape} {self.values.dtype}"
        return f"Pieces({', '.join(self.takers)}: {shapes})"


def read_clip(clip: ClipToRead) -> Generator[Pieces | Patience, None, dict[str, End]]:
    """Decode one clip, once for all kinds of pieces of one rate, and make the pieces.

    Yields
    ------
    Pieces or Patience
        Pieces of some 32 frames, or of all the sound, each; `Patience` before long work.

    Returns
    -------
    dict of str to MediaError or FaceRows
        By encoder: why there are no pieces, or not all of them (pictures may fail without sound,
        and the other way round); else what is known of the faces in them.

    Raises
    ------
    MediaError
        Step ``read`` when the bytes are not those that were indexed: the embedding would otherwise
        be filed under another clip's digest. Step ``probe`` when the clip is too long.
    PlaceError
        When an object store with the clip does not answer.
    """
    takers: dict[PieceKind, Takers] = {}
    for name, kind in clip.kinds.items():
        takers[kind] = (*takers.get(kind, ()), name)
    ends: dict[PieceKind, End] = dict.fromkeys(takers, FaceRows())
    alike: dict[tuple[Callable[..., Any], float], dict[Any, Takers]] = {}  # what one decode serves
    for kind, names in takers.items():
        if isinstance(kind, Texts):  # then the clip is nothing but its words
            for time_s, values in kind.cut(clip.path):
                yield Pieces(names, time_s, values)
        elif isinstance(kind, Pictures):
            alike.setdefault((_cut_frames, kind.frame_rate_hz), {})[kind] = names
        else:
            alike.setdefault((_cut_sound, kind.sample_rate_hz), {})[kind] = names
    if alike:
        if address := address_of(Path(clip.path)):
            yield Patience(FETCH_LIMIT_S)
        path = local_file(Path(clip.path))
        if clip_sha256(path) != clip.sha256:
            reason = f"{address or path} has changed since it was indexed: index it again"
            raise MediaError("read", reason)
        check_duration(path, clip.max_duration_s)
    for (cut, rate_hz), kinds in alike.items():
        try:
            yield from cut(path, rate_hz, kinds, clip.max_duration_s, ends)
        except MediaError as error:
            ends.update(dict.fromkeys(kinds, error))
    return {name: ends[kind] for name, kind in clip.kinds.items()}


def examine_clip(named: tuple[str, Path]) -> Generator[Patience, None, dict[str, object]]:
    """Hash and probe a clip, given with its id; returns columns of the clip table."""
    _, path = named
    yield Patience(FETCH_LIMIT_S if address_of(path) else 0)
    return examine_once(path, lambda file: {"sha256": clip_sha256(file), **asdict(probe(file))})


def _cut_frames(
    path: Path,
    rate_hz: float,
    takers: dict[Pictures, Takers],
    max_duration_s: float,
    ends: dict[PieceKind, End],
) -> Iterator[Pieces]:
    """Cut pieces from frames; each face detector looks once at a frame, for all kinds."""
    finders = {k.face: FaceFinder(k.face) for k in takers if k.face}
    waiting: dict[Pictures, list[tuple[float, NDArray[np.uint8]]]] = {k: [] for k in takers}
    n_frames = n_new = 0

    def full(at_end: bool = False) -> Iterator[Pieces]:
        for kind, pictures in waiting.items():
            for time_s, pieces in kind.take(pictures, at_end):
                yield Pieces(takers[kind], time_s, pieces)

    for frame in read_frames(path, rate_hz, max_duration_s=max_duration_s):
        n_frames += 1
        faces: dict[FaceDetection | None, Collection[Box]] = {None: ()}
        for detection, finder in finders.items():
            faces[detection] = finder.find(frame.image, frame.time_s).values()
        for kind in takers:
            pictures = kind.cut(frame.image, faces[kind.face])
            waiting[kind] += [(frame.time_s, picture) for picture in pictures]
        n_new += max(1, *map(len, faces.values()))
        if n_new >= _PICTURES_PER_PART:
            n_new = 0
            yield from full()
    yield from full(at_end=True)
    for kind in takers:
        if kind.face is not None:
            ends[kind] = found = finders[kind.face].rows()
            is_picture = n_frames == 1 and kind.face_missing == "whole_frame"
            if found.share == 0 and not is_picture:
                reason = f"no frame shows a face with a score of {kind.face.min_score:g} or more"
                ends[kind] = MediaError("face", reason)


def _cut_sound(
    path: Path,
    rate_hz: int,
    takers: dict[SoundPieces | SoundWindows, Takers],
    max_duration_s: float,
    ends: dict[PieceKind, End],
) -> Iterator[Pieces | Patience]:
    track = read_track(path, rate_hz, max_duration_s=max_duration_s)
    for kind, names in takers.items():
        yield Patience(len(track.samples) / rate_hz * _SOUND_WORK)
        try:
            for time_s, values in kind.cut(track):
                yield Pieces(names, time_s, values)
        except MediaError as error:
            ends[kind] = error
