"""What is configured, and how much of it is cached, without downloading or computing anything."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from features.cache import EmbeddingCache
from features.encoders import Encoder, EncoderError
from features.encoders.weights import without_download
from features.extraction.encoder_run import unusable
from features.extraction.index import Clip, iterate_clips
from features.identity import Sampling, encoder_identity


@dataclass(frozen=True)
class CatalogueEntry:
    """One configured encoder.

    Attributes
    ----------
    name, kind, model, weights : str
        As in ``params.yaml``.
    dimension : int or None
        Width of an embedding; None when the encoder cannot be had.
    identity : str or None
        None when the weights are not on this machine, or cannot be had.
    n_cached : int
        Cached clips; of the clip table where one was given, of any otherwise.
    n_clips : int or None
        Clips of the clip table that are for this encoder; None without a clip table.
    problem : str
        Why the identity is missing; empty otherwise.
    """

    name: str
    kind: str
    model: str
    weights: str
    dimension: int | None
    identity: str | None
    n_cached: int
    n_clips: int | None
    problem: str


def list_encoders(
    encoders: Mapping[str, Encoder],
    sampling: Sampling,
    cache_root: Path,
    clips: pd.DataFrame | None = None,
) -> list[CatalogueEntry]:
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
    """
    wanted = None if clips is None else list(iterate_clips(clips))
    with without_download():
        return [
            _entry(name, encoder, sampling, cache_root, wanted)
            for name, encoder in encoders.items()
        ]


def _entry(
    name: str, encoder: Encoder, sampling: Sampling, root: Path, clips: list[Clip] | None
) -> CatalogueEntry:
    dimension, identity, problem = None, None, ""
    try:
        dimension = encoder.dimension()
        identity = encoder_identity(encoder, sampling)
    except EncoderError as error:
        problem = str(error)
    cached: set[str] = set()
    wanted = None if clips is None else {c.sha256 for c in clips if unusable(encoder, c) is None}
    if identity is not None:
        cached = set(EmbeddingCache(root, identity))
    spec = encoder.spec
    return CatalogueEntry(
        name=name,
        kind=spec.kind,
        model=spec.model,
        weights=getattr(spec, "weights", "-"),
        dimension=dimension,
        identity=identity,
        n_cached=len(cached if wanted is None else cached & wanted),
        n_clips=None if wanted is None else len(wanted),
        problem=problem,
    )
