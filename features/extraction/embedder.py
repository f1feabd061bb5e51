"""The loop: workers read each clip once for all encoders, batches across clips are embedded."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import tee
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.cache import Embedding, EmbeddingCache, LostError
from features.encoders.base import Encoder, SoundTransform
from features.errors import MediaError
from features.extraction.batches import Batcher
from features.extraction.index import Clip, clip_error, clip_progress, iterate_clips
from features.extraction.reading import ClipToRead, Pieces, read_clip
from features.extraction.workers import Restarted, Workers
from features.identity import Sampling, encoder_identity
from features.media.faces import FaceRows
from features.store import StoredClip

if TYPE_CHECKING:
    from features.encoders.torch_model import TorchModel

STALL_LIMIT_S = 300.0
"""A decode worker that hands over nothing for so long is stuck; 32 frames take it a second.

For sound it has the sound's length on top.
"""

_NICENESS = 19  # an encoder on the same processors must never wait for a decoder

_OF_MEDIA = ("av", "opencv-python-headless", "opensmile", "pillow")
_OF_NETWORKS = ("open_clip_torch", "timm", "torch", "torchvision", "transformers")
_STAND_INS = ("onnxruntime", "onnxruntime-gpu")  # for each other


class EncoderRun:
    """An encoder's share of a run: its cache, what of the clips failed, what goes to its store.

    Weights that cannot be had are an EncoderError, a cache that cannot be written an OSError.

    Attributes
    ----------
    name, encoder, sampling, cache_root
        As given: the encoder by its name in messages, how it samples, where embeddings are kept.
    identity : str
        Of its embeddings; see `features.identity.encoder_identity`.
    pieces : PieceKind
        What it takes of a clip.
    n_computed : int
        Clips embedded by this run; the others came from the cache.
    failed : dict of str to MediaError
        Why clips cannot be embedded, by the digest of their bytes.
    """

    def __init__(
        self, name: str, encoder: Encoder, sampling: Sampling, cache_root: Path | str
    ) -> None:
        self.name = name
        self.encoder = encoder
        self.sampling = sampling
        self.cache_root = cache_root
        self.identity = encoder_identity(encoder, sampling)
        self.pieces = encoder.pieces(sampling)
        self.n_computed = 0
        self.failed: dict[str, MediaError] = {}
        self._description = {
            "spec": encoder.model_dump(),
            "weights_digest": encoder.weights_digest(),
            "sampling": sampling.model_dump(),
            "identity": self.identity,
        }
        self._cache = EmbeddingCache(cache_root, self.identity, self._description)

    def lacks(self, clip: Clip) -> bool:
        """Whether the clip is for this encoder and not cached."""
        return unusable(self.encoder, clip) is None and clip.sha256 not in self._cache.known

    def check(self, clips: pd.DataFrame) -> None:
        """Read what is cached of clips, so that what is damaged counts as lacking."""
        for clip in iterate_clips(clips):
            if clip.sha256 in self._cache.known:
                with suppress(LostError):
                    self._cache.get(clip.sha256)

    def note(self, sha256: str, error: MediaError | None) -> None:
        """Take it from whoever embedded a clip that it is in the cache, or why it is not."""
        if error is None:
            self._cache.known.add(sha256)
            self.n_computed += 1
        else:
            self.failed[sha256] = error

    def keep(
        self, sha256: str, time_s: NDArray[np.float64], rows: NDArray[np.float32], faces: FaceRows
    ) -> None:
        """Make a clip's embeddings of its rows (n, width); take them into the cache, and to disk.

        A clip without rows fails, and so do numbers that are not finite, or do not fit the
        encoder's ``dtype``.
        """
        try:
            if not len(rows):
                raise MediaError("encode", "it has nothing that the encoder takes")
            time_s, rows = self.encoder.finish(time_s, rows)
            with np.errstate(over="ignore"):  # an overflow is dealt with below
                values = rows.astype(self.encoder.dtype)
            if not np.isfinite(rows).all():
                raise MediaError("encode", "the embedding is not finite")
            if not np.isfinite(values).all():
                raise MediaError(
                    "encode",
                    f"the embedding holds {np.abs(rows).max():.3g}, more than float16 does: set "
                    f"`dtype: float32` under encoders.{self.name}",
                )
        except MediaError as error:
            self.failed[sha256] = error
        else:
            in_order = np.argsort(time_s, kind="stable")  # of people who talk at once it is none
            self._cache.put(sha256, Embedding(time_s[in_order], values[in_order], *faces))
            self.n_computed += 1

    def stored_clips(self, clips: pd.DataFrame) -> Iterator[StoredClip]:
        """Yield the embedded clips in the order of the clip table.

        A LostError says that one was damaged, or removed meanwhile: plan and embed it again.
        """
        asked, stored = tee(clip for clip in iterate_clips(clips) if self._error(clip) is None)
        embeddings = self._cache.get_all(clip.sha256 for clip in asked)
        for clip, embedding in zip(stored, embeddings, strict=True):
            yield StoredClip(clip.clip_id, clip.sha256, embedding)

    def errors(self, clips: pd.DataFrame) -> dict[str, MediaError]:
        """Return why clips have no embedding, by their ids; those that have one are left out."""
        return {c.clip_id: why for c in iterate_clips(clips) if (why := self._error(c))}

    def metadata(self) -> dict[str, Any]:
        """Return what made the numbers, for the store."""
        content: dict[str, Any] = {**self._description, "versions": library_versions()}
        if columns := self.encoder.columns():
            content["outputs"] = [[*each] for each in columns.items()]
        if not isinstance(self.encoder, SoundTransform):
            content["normalised"] = False  # vectors are what the network gives
        if self.encoder.is_clip_level():
            content["level"] = "clip"  # see `features.pool`
        return content

    def _error(self, clip: Clip) -> MediaError | None:
        return unusable(self.encoder, clip) or self.failed.get(clip.sha256)


class Embedder(AbstractContextManager["Embedder"]):
    """Embeds clips. Its decode workers and loaded networks stay from one call to the next.

    Close it, or use it as a context manager. One call at a time; between calls, its `workers` are
    free for other work.

    Parameters
    ----------
    n_workers : int, optional
        Decode workers; default one per processor.
    clip_limit_s : float
        Longest time that reading one clip may take; without it a clip may take any time, as long
        as it hands over pieces.
    """

    def __init__(self, n_workers: int | None = None, *, clip_limit_s: float = math.inf) -> None:
        self.workers = Workers(n_workers, niceness=_NICENESS)
        self._clip_limit_s = clip_limit_s
        self._models: dict[str, TorchModel | None] = {}  # by identity

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers and let go of the networks."""
        self.workers.close()
        self._models.clear()

    def embed(
        self, clips: Sequence[ClipToRead], runs: Mapping[str, EncoderRun], *, progress: bool
    ) -> None:
        """Embed clips into the caches of the runs, or note in them why it cannot be.

        What is finished is on disk at once: a run that ends early, however it ends, loses the clips
        that are in batches. An encoder that cannot be loaded is an EncoderError, a cache that
        cannot be written an OSError.

        Parameters
        ----------
        clips : sequence of ClipToRead
            From `plan`, which was given the same encoders.
        runs : mapping of str to EncoderRun
            The encoders by name.
        progress : bool
            Show a progress bar on standard error.
        """
        if not clips:
            return
        with (
            self.workers.run(
                read_clip, clips, stall_limit_s=STALL_LIMIT_S, task_limit_s=self._clip_limit_s
            ) as events,
            clip_progress("extract", len(clips), shown=progress) as advance,
        ):
            # Networks are loaded while the workers read.
            batchers = {
                name: Batcher(self._model(run), run.keep)
                for name, run in runs.items()
                if any(name in clip.kinds for clip in clips)
            }
            for clip, event in events:
                if isinstance(event, Pieces):
                    for name in event.takers:
                        batchers[name].add(clip.sha256, event.time_s, event.values)
                elif isinstance(event, Restarted):
                    for name in clip.kinds:
                        batchers[name].discard(clip.sha256)
                else:
                    error = event.failure and clip_error(event.failure, "decode")
                    for name in clip.kinds:
                        end = error or event.result[name]
                        if isinstance(end, MediaError):
                            batchers[name].discard(clip.sha256)
                            runs[name].note(clip.sha256, end)
                        else:
                            batchers[name].end(clip.sha256, end)
                    advance(1)
            for batcher in batchers.values():
                batcher.flush()

    def _model(self, run: EncoderRun) -> "TorchModel | None":
        if run.identity not in self._models:
            self._models[run.identity] = run.encoder.load_model()
        return self._models[run.identity]


def plan(
    clips: pd.DataFrame, runs: Mapping[str, EncoderRun], max_duration_s: float = math.inf
) -> list[ClipToRead]:
    """Find the clips of a clip table that some cache lacks, each content once."""
    pieces = cache(lambda names: {name: runs[name].pieces for name in names})
    to_read: dict[str, ClipToRead] = {}
    for clip in iterate_clips(clips):
        takers = tuple(name for name, run in runs.items() if run.lacks(clip))
        if takers and clip.path is not None:
            each = ClipToRead(clip.sha256, clip.path, pieces(takers), max_duration_s)
            to_read.setdefault(clip.sha256, each)
    return [*to_read.values()]


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


def library_versions() -> dict[str, str]:
    """Return the versions of the installed libraries that have a part in embeddings."""
    versions = {}
    for name in (*_OF_MEDIA, *_OF_NETWORKS, *_STAND_INS):
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions
