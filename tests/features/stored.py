"""Clips for stores."""

import numpy as np

from features.segments import Embedding
from features.store import StoredClip


def clips(n: int = 5, dtype: str = "float16", face_share: float | None = None) -> list[StoredClip]:
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 6, n)
    return [
        StoredClip(
            f"{k:05d}",
            f"digest{k}",
            Embedding(np.arange(size) / 4, rng.normal(size=(size, 3)).astype(dtype), face_share),
        )
        for k, size in enumerate(sizes)
    ]
