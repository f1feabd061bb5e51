"""One encoder's share of a run: what it lacks, what it got, what failed."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.cache import Embedding, EmbeddingCache
from features.encoders.base import Encoder
from features.errors import EncoderError, MediaError
from features.extraction.index import Clip, iterate_clips
from features.identity import Sampling, encoder_identity
from features.store import StoredClip

_LIBRARIES = (
    "av",
    "onnxruntime",
    "onnxruntime-gpu",
    "open_clip_torch",
    "opencv-python-headless",
    "opensmile",
    "pillow",
    "timm",
    "torch",
    "torchvision",
    "transformers",
)


class EncoderRun:
    """An encoder, its cache, and what comes of the clips of a run.

    Parameters
    ----------
    name : str
        The encoder's name in messages.
    encoder : Encoder
        What embeds.
    sampling : Sampling
        How frames and sound are sampled.
    cache_root : Path
        Where embeddings are kept.

    Attributes
    ----------
    identity : str
        Of its embeddings; see `features.identity.encoder_identity`.
    pieces : PieceKind
        What it takes of a clip.
    n_computed : int
        Clips embedded by this run; the others came from the cache.
    failed : dict of str to MediaError
        Why clips cannot be embedded, by the digest of their bytes.

    Raises
    ------
    EncoderError
        When the encoder's or its face detector's weights cannot be had.
    OSError
        When the cache cannot be written.
    """

    def __init__(self, name: str, encoder: Encoder, sampling: Sampling, cache_root: Path) -> None:
        self.name = name
        self.encoder = encoder
        self.identity = encoder_identity(encoder, sampling)
        self.pieces = encoder.pieces(sampling)
        self.n_computed = 0
        self._description = {
            "spec": encoder.model_dump(),
            "weights_digest": encoder.weights_digest(),
            "sampling": sampling.model_dump(),
            "identity": self.identity,
        }
        self._cache = EmbeddingCache(cache_root, self.identity, self._description)
        self.failed: dict[str, MediaError] = {}

    def lacks(self, clip: Clip) -> bool:
        """Whether the clip is for this encoder and not cached."""
        return unusable(self.encoder, clip) is None and clip.sha256 not in self._cache

    def keep(
        self,
        sha256: str,
        time_s: NDArray[np.float64],
        rows: NDArray[np.float32],
        face_share: float | None = None,
    ) -> None:
        """Make a clip's embeddings of its rows (n, width); take them into the cache, and to disk.

        Numbers that are not finite, or do not fit the encoder's ``dtype``, fail the clip.
        """
        try:
            time_s, rows = self.encoder.finish(time_s, rows)
        except MediaError as error:
            self.failed[sha256] = error
            return
        with np.errstate(over="ignore"):  # an overflow is dealt with below
            values = rows.astype(self.encoder.dtype)
        if np.isfinite(values).all():
            self._cache.put(sha256, Embedding(time_s, values, face_share))
            self.n_computed += 1
            return
        reason = "the embedding is not finite"
        if np.isfinite(rows).all():
            reason = (
                f"the embedding holds {np.abs(rows).max():.3g}, more than float16 does: set "
                f"`dtype: float32` under encoders.{self.name}"
            )
        self.failed[sha256] = MediaError("encode", reason)

    def stored_clips(self, clips: pd.DataFrame) -> Iterator[StoredClip]:
        """Yield the embedded clips in the order of the clip table."""
        for clip in iterate_clips(clips):
            if self._error(clip) is None:
                yield StoredClip(clip.clip_id, clip.sha256, self._cache.get(clip.sha256))

    def errors(self, clips: pd.DataFrame) -> dict[str, MediaError]:
        """Return why clips have no embedding, by their ids; those that have one are left out."""
        errors = {clip.clip_id: self._error(clip) for clip in iterate_clips(clips)}
        return {clip_id: error for clip_id, error in errors.items() if error is not None}

    def metadata(self) -> dict[str, Any]:
        """Return what made the numbers, for the store."""
        content: dict[str, Any] = {**self._description, "versions": library_versions()}
        if columns := self.encoder.columns():
            content["outputs"] = [[name, width] for name, width in columns.items()]
        if self.encoder.is_clip_level():
            content["level"] = "clip"  # see `features.pool`
        return content

    def _error(self, clip: Clip) -> MediaError | None:
        return unusable(self.encoder, clip) or self.failed.get(clip.sha256)


def unusable(encoder: Encoder, clip: Clip) -> MediaError | None:
    """Why the clip table already rules a clip out for an encoder; None when it does not."""
    if clip.error is not None:
        return clip.error
    if clip.path is None:
        return MediaError("stream", "the clip has no media file")
    if encoder.modality == "vision" and not clip.has_video:
        return MediaError("stream", "the clip has no video")
    if encoder.modality == "sound" and not clip.has_audio:
        return MediaError("stream", "the clip has no sound")
    return None


def check_some_embedded(name: str, n_clips: int, errors: Sequence[MediaError]) -> None:
    """Make sure that an encoder does not fail on each of its clips: no store would be left.

    Raises
    ------
    EncoderError
        With the first error.
    """
    if len(errors) == n_clips:
        first = f"; the first: {errors[0]}" if errors else ""
        raise EncoderError(
            f"the encoder {name!r} embedded none of {n_clips} clips{first}. Mend the clips, or "
            f"take {name!r} out of `encoders:`"
        )


def library_versions() -> dict[str, str]:
    """Return the versions of the installed libraries that have a part in embeddings."""
    versions = {}
    for name in _LIBRARIES:
        with suppress(PackageNotFoundError):  # some stand in for each other
            versions[name] = version(name)
    return versions
