"""New clips with what a bundle's encoders made of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

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
from pipeline.bundle import BundleError, Description

WHOLE = np.array([[-np.inf, np.inf]])
"""The one window, from its begin to its end in seconds, that holds all of a clip."""


@dataclass(frozen=True)
class EmbeddedClips:
    """Clips whose embeddings are in the cache, or that have none.

    Attributes
    ----------
    clips : DataFrame
        From `features.extraction.index_files`.
    description : Description
        The bundle's.
    encoders : mapping of str to Encoder
        The bundle's, but for imported features.
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

    def duration_s(self, number: int) -> float:
        """Length of a clip, in seconds: from its header, or else the time of its last embedding."""
        duration_s = float(self.clips["duration_s"].iloc[number])
        if np.isfinite(duration_s):
            return duration_s
        row = self.clips[number : number + 1]
        stored = [each for run in self.runs.values() for each in run.stored_clips(row)]
        return max((float(each.embedding.time_s[-1]) for each in stored), default=0.0)

    def vectors(
        self, number: int, windows_s: NDArray[np.float64] = WHOLE
    ) -> dict[str, NDArray[np.float32]]:
        """Pool the embeddings of one clip, inside windows of its time, as in training.

        Parameters
        ----------
        number : int
            Which row of `clips`.
        windows_s : ndarray of float64, shape (n_windows, 2)
            When each begins and ends, in clip time; the end is outside.

        Returns
        -------
        dict of str to ndarray of float32, shape (n_windows, width)
            By encoder; NaN where a window has no embedding. The only embedding of a clip, such as
            functionals of all its sound, counts in every window.

        Raises
        ------
        BundleError
            When they are not as wide as in training.
        """
        row = self.clips[number : number + 1]
        vectors = {}
        for name, entry in self.description.encoders.items():
            vectors[name] = np.full((len(windows_s), entry.width), np.nan, np.float32)
            for stored in self.runs[name].stored_clips(row) if name in self.runs else ():
                filled, pooled = self._pool(name, stored, windows_s)
                if pooled.shape[1] != entry.width:
                    raise BundleError(
                        f"the encoder {name!r} gives {pooled.shape[1]} columns here, but the heads "
                        f"were fitted on {entry.width}: make the bundle anew"
                    )
                vectors[name][filled] = pooled
        return vectors

    def _pool(
        self, encoder: str, clip: StoredClip, windows_s: NDArray[np.float64]
    ) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Return the numbers of the windows that hold an embedding, and the vectors of those."""
        time_s, values = clip.embedding.time_s, clip.embedding.values
        begin_s, end_s = windows_s[:, :1], windows_s[:, 1:]
        inside = (begin_s <= time_s) & (time_s < end_s) | (len(time_s) == 1)
        filled = np.flatnonzero(inside.any(axis=1))
        parts = [
            StoredClip(f"{window}", clip.sha256, Embedding(time_s[rows], values[rows]))
            for window, rows in zip(filled, inside[filled], strict=True)
        ]
        if not parts:
            return filled, np.empty((0, self.description.encoders[encoder].width), np.float32)
        _, vectors = pool_clips(gather(parts, self._metadata[encoder]), self.description.pooling)
        return filled, vectors

    @cached_property
    def _metadata(self) -> dict[str, dict[str, Any]]:
        return {name: run.metadata() for name, run in self.runs.items()}


def _unusable(encoder: Encoder | None, clip: Clip) -> MediaError:
    if encoder is None:
        return MediaError("stream", "imported features: it embeds no new clips")
    error = unusable(encoder, clip)
    assert error is not None  # else there would be a run
    return error
