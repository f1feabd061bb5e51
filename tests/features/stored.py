"""Clips and embeddings that tests put into stores and caches."""

from pathlib import Path

import numpy as np

from features.cache import Embedding
from features.store import StoredClip


def embedding(
    n_rows: int = 3, seed: int = 0, dtype: str = "float16", face_share: float | None = None
) -> Embedding:
    values = np.random.default_rng(seed).normal(size=(n_rows, 3)).astype(dtype)
    return Embedding(np.arange(n_rows) / 4, values, face_share)


def same(a: Embedding, b: Embedding) -> bool:
    return (
        np.array_equal(a.time_s, b.time_s)
        and np.array_equal(a.values, b.values)
        and (a.values.dtype, a.face_share) == (b.values.dtype, b.face_share)
    )


def clips(n: int = 5, dtype: str = "float16", face_share: float | None = None) -> list[StoredClip]:
    return [
        StoredClip(f"c{k}", f"digest{k}", embedding(k + 1, k, dtype, face_share)) for k in range(n)
    ]


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder, by their path in it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
