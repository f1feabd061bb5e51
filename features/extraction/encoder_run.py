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
)


def library_versions() -> dict[str, str]:
    """Return the versions of the installed libraries that have a part in embeddings."""
    versions = {}
    for name in _LIBRARIES:
        with suppress(PackageNotFoundError):  # some stand in for each other
            versions[name] = version(name)
    return versions


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
    name, encoder
        As given.
    identity : str
        Of its embeddings; see `features.identity.encoder_identity`.
    pieces : PieceKind
        What it takes of a clip.
    n_computed : int
        Clips embedded by this run; the others came from the cache.

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
        self._errors: dict[str, MediaError] = {}  # by the digest of the clip's bytes

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
        """Take a clip's embeddings (n, dimension) into the cache, and to disk.

        Numbers that are not finite, or do not fit the encoder's ``dtype``, fail the clip.
        """
        with np.errstate(over="ignore"):  # an overflow is dealt with below
            values = rows.astype(self.encoder.dtype)
        if not np.isfinite(values).all():
            reason = "the embedding is not finite"
            if np.isfinite(rows).all():
                reason = (
                    f"the embedding holds {np.abs(rows).max():.3g}, more than float16 does: set "
                    f"`dtype: float32` under encoders.{self.name}"
                )
            self.fail(sha256, MediaError("encode", reason))
            return
        self._cache.put(sha256, Embedding(time_s, values, face_share))
        self.n_computed += 1

    def fail(self, sha256: str, error: MediaError) -> None:
        """Note that a clip cannot be embedded."""
        self._errors[sha256] = error

    def stored_clips(self, clips: pd.DataFrame) -> Iterator[StoredClip]:
        """Yield the embedded clips in the order of the clip table."""
        for clip in iterate_clips(clips):
            if self._error(clip) is None:
                yield StoredClip(clip.clip_id, clip.sha256, self._cache.get(clip.sha256))

    def errors(self, clips: pd.DataFrame) -> dict[str, MediaError]:
        """Return why clips have no embedding, by their ids; those that have one are left out."""
        return {
            clip.clip_id: error
            for clip in iterate_clips(clips)
            if (error := self._error(clip)) is not None
        }

    def failures(self, clips: pd.DataFrame) -> pd.DataFrame:
        """Return the failure table, ``clip_id, step, reason``.

        Raises
        ------
        EncoderError
            When it holds all clips: no store would be left.
        """
        errors = self.errors(clips)
        if len(errors) == len(clips):
            raise _none_embedded(self.name, list(errors.values()))
        failed = [(clip_id, error.step, error.reason) for clip_id, error in errors.items()]
        return pd.DataFrame(failed, columns=["clip_id", "step", "reason"])

    def metadata(self) -> dict[str, Any]:
        """Return what made the numbers, for the store."""
        content: dict[str, Any] = {**self._description, "versions": library_versions()}
        if columns := self.encoder.columns():
            content["outputs"] = [[name, width] for name, width in columns.items()]
        if self.encoder.is_clip_level():
            content["level"] = "clip"  # see `features.pool`
        return content

    def _error(self, clip: Clip) -> MediaError | None:
        return unusable(self.encoder, clip) or self._errors.get(clip.sha256)


def check_usable(name: str, encoder: Encoder, clips: pd.DataFrame) -> None:
    """Make sure, before weights are fetched, that some clip has what an encoder needs.

    Raises
    ------
    EncoderError
        When none has.
    """
    errors = [unusable(encoder, clip) for clip in iterate_clips(clips)]
    if None not in errors:
        raise _none_embedded(name, [error for error in errors if error is not None])


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


def _none_embedded(name: str, errors: Sequence[MediaError]) -> EncoderError:
    first = f"; the first: {errors[0]}" if errors else ""
    return EncoderError(
        f"the encoder {name!r} embedded none of {len(errors)} clips{first}. Mend the clips, or "
        f"take {name!r} out of `encoders:`"
    )
