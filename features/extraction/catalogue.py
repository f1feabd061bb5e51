"""What is configured, and how much of it is cached, without downloading or computing anything."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from features.cache import EmbeddingCache
from features.encoders import Encoder, EncoderError
from features.encoders.weights import without_download
from features.extraction.encoder_run import unusable
from features.extraction.index import iterate_clips
from features.identity import Sampling, encoder_identity


def list_encoders(
    encoders: Mapping[str, Encoder],
    sampling: Sampling,
    cache_root: Path,
    clips: pd.DataFrame | None = None,
) -> list[dict[str, Any]]:
    """Describe every encoder in turn.

    Parameters
    ----------
    encoders : mapping of str to encoder
        By name.
    sampling : Sampling
        How frames and sound are sampled.
    cache_root : Path
        The embedding cache.
    clips : DataFrame, optional
        The clip table to count in.

    Returns
    -------
    list of dict
        ``name``, ``kind``, ``model`` and ``weights`` as in ``params.yaml``; ``dimension`` and
        ``identity``, None where the weights are not on this machine or cannot be had, and
        ``problem``, which says why, empty otherwise; ``n_cached`` clips, of the table where there
        is one; and ``n_clips`` of the table that are for this encoder, None without a table.
    """
    rows = []
    for name, encoder in encoders.items():
        dimension, identity, problem, cached = None, None, "", set()
        try:
            with without_download():
                dimension = encoder.dimension()
                identity = encoder_identity(encoder, sampling)
            cached = set(EmbeddingCache(cache_root, identity))
        except EncoderError as error:
            problem = str(error)
        n_clips = None
        if clips is not None:
            usable = (clip for clip in iterate_clips(clips) if unusable(encoder, clip) is None)
            wanted = {clip.sha256 for clip in usable}
            cached &= wanted
            n_clips = len(wanted)
        rows.append(
            {
                "name": name,
                "kind": encoder.kind,
                "model": encoder.model,
                "weights": getattr(encoder, "weights", "-"),
                "dimension": dimension,
                "identity": identity,
                "n_cached": len(cached),
                "n_clips": n_clips,
                "problem": problem,
            }
        )
    return rows
