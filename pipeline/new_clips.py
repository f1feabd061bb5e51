"""New clips with what a bundle's encoders made of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.cache import Embedding
from features.encoders import Encoder
from features.extraction.encoder_run import EncoderRun, unusable
from features.extraction.index import Clip, iterate_clips
from features.media.files import MediaError
from features.pool import pool_clips
from features.store import StoredClip, gather
from pipeline.bundle import Description
from pipeline.sealed_folder import BundleError

_CLIPS_AT_ONCE = 1000  # so many clips' frames are in memory


@dataclass(frozen=True)
class Embedded:
    """Clips whose embeddings are in the cache, or that have none.

    Attributes
    ----------
    clips : DataFrame
        From `features.extraction.index_files`.
    description : Description
        The bundle's.
    encoders : mapping of str to Encoder
        All of its encoders.
    runs : mapping of str to EncoderRun
        Of those for which some clip had something.
    """

    clips: pd.DataFrame
    description: Description
    encoders: Mapping[str, Encoder]
    runs: Mapping[str, EncoderRun]

    @cached_property
    def missing(self) -> dict[str, dict[str, MediaError]]:
        """By clip id: why encoders have nothing of it, by encoder."""
        missing: dict[str, dict[str, MediaError]] = {each: {} for each in self.clips["clip_id"]}
        for name in self.description.encoders:
            if name in self.runs:
                errors = self.runs[name].errors(self.clips)
            else:
                encoder, clips = self.encoders.get(name), iterate_clips(self.clips)
                errors = {clip.clip_id: _unusable(encoder, clip) for clip in clips}
            for clip_id, error in errors.items():
                missing[clip_id][name] = error
        return missing

    def vectors(self, encoder: str) -> NDArray[np.float32]:
        """Pool an encoder's embeddings (n_clips, width) as in training; NaN where there are none.

        Raises
        ------
        BundleError
            When they are not as wide as in training.
        """
        vectors = self.no_vectors(encoder, len(self.clips))
        if encoder in self.runs:
            for first in range(0, len(self.clips), _CLIPS_AT_ONCE):
                last = first + _CLIPS_AT_ONCE
                stored = self.runs[encoder].stored_clips(self.clips[first:last])
                ids = self.clips["clip_id"][first:last]
                self._pool_into(vectors[first:last], encoder, stored, ids)
        return vectors

    def window_vectors(
        self, encoder: str, number: int, starts_s: NDArray[np.float64], window_s: float
    ) -> NDArray[np.float32]:
        """Pool an encoder's embeddings of one clip inside windows of its time.

        Parameters
        ----------
        encoder : str
            Its name.
        number : int
            Which row of `clips`.
        starts_s : ndarray of float64, shape (n_windows,)
            Where windows begin, in clip time.
        window_s : float
            How long they are.

        Returns
        -------
        ndarray of float32, shape (n_windows, width)
            NaN where a window has no embedding. The only embedding of a clip, such as functionals
            of all its sound, counts in every window.
        """
        vectors = self.no_vectors(encoder, len(starts_s))
        if encoder not in self.runs:
            return vectors
        for clip_id, sha256, whole in self.runs[encoder].stored_clips(
            self.clips[number : number + 1]
        ):
            since_s = whole.time_s - starts_s[:, None]
            inside = (since_s >= 0) & (since_s < window_s) | (len(whole.time_s) == 1)
            ids = [f"{clip_id}/{window}" for window in range(len(starts_s))]
            parts = [
                StoredClip(each, sha256, Embedding(whole.time_s[rows], whole.values[rows]))
                for each, rows in zip(ids, inside, strict=True)
                if rows.any()
            ]
            self._pool_into(vectors, encoder, parts, ids)
        return vectors

    def duration_s(self, number: int) -> float:
        """Length of a clip, in seconds: from its header, or else the time of its last embedding."""
        duration_s = float(self.clips["duration_s"].iloc[number])
        if np.isfinite(duration_s):
            return duration_s
        row = self.clips[number : number + 1]
        stored = [each for run in self.runs.values() for each in run.stored_clips(row)]
        return max((float(each.embedding.time_s[-1]) for each in stored), default=0.0)

    def no_vectors(self, encoder: str, n_rows: int) -> NDArray[np.float32]:
        """Return vectors (n_rows, width) of NaN."""
        width = self.description.encoders[encoder].width
        return np.full((n_rows, width), np.nan, np.float32)

    def _pool_into(
        self,
        vectors: NDArray[np.float32],
        encoder: str,
        stored: Iterable[StoredClip],
        clip_ids: Iterable[str],
    ) -> None:
        """Pool embeddings as in training into the rows (n_rows, width) of their ids."""
        taken = list(stored)
        if not taken:
            return
        metadata = self.runs[encoder].metadata()
        ids, pooled = pool_clips(gather(taken, metadata), self.description.pooling)
        if pooled.shape[1] != vectors.shape[1]:
            raise BundleError(
                f"an encoder gives {pooled.shape[1]} columns here, but the heads were fitted on "
                f"{vectors.shape[1]}: make the bundle anew"
            )
        vectors[pd.Index(clip_ids).get_indexer(pd.Index(ids))] = pooled


def _unusable(encoder: Encoder | None, clip: Clip) -> MediaError:
    if encoder is None:
        return MediaError("stream", "imported features: it embeds no new clips")
    error = unusable(encoder, clip)
    assert error is not None  # else there would be a run
    return error
