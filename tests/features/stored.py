"""Clips and embeddings that tests put into stores and caches."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from features.cache import Embedding
from features.store import StoredClip


def embedding(
    n_rows: int = 3, seed: int = 0, dtype: str = "float16", face_share: float | None = None
) -> Embedding:
    values = np.random.default_rng(seed).normal(size=(n_rows, 3)).astype(dtype)
    return Embedding(np.arange(n_rows) / 4, values, face_share)


def of_all_faces(one: Embedding) -> Embedding:
    """Let the rows of an embedding be of two people in turn."""
    track = np.arange(len(one.time_s), dtype=np.int32) % 2
    return replace(one, face_share=1.0, track=track, face_score=track.astype("f4") / 2)


def same(a: Embedding, b: Embedding) -> bool:
    return (
        np.array_equal(a.time_s, b.time_s)
        and np.array_equal(a.values, b.values)
        and (a.values.dtype, a.face_share) == (b.values.dtype, b.face_share)
        and np.array_equal(a.track, b.track)
        and np.array_equal(a.face_score, b.face_score)
    )


def clips(n: int = 5, dtype: str = "float16", face_share: float | None = None) -> list[StoredClip]:
    return [
        StoredClip(f"c{k}", f"digest{k}", embedding(k + 1, k, dtype, face_share)) for k in range(n)
    ]


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder, by their path in it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
