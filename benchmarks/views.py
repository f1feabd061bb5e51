"""Generated views of the size and structure of Hume-Reaction's, for timing heads.

Clip vectors are mixtures of latent traits whose variances fall by a power law, as those of embedded
faces do; part of every trait belongs to the person. Three encoders see overlapping traits. Targets
depend on the traits, mostly in a line, partly not, and mostly not at all (r about 0.4).
"""

import numpy as np
from numpy.typing import NDArray

BANDS = (3072, 2048, 88)
"""Columns of the encoders; together 5,208."""
N_TRAITS = 600
CLIPS_PER_PERSON = 11


View = tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.int64]]
"""Inputs [n_rows, n_columns], targets [n_rows, n_targets] and people [n_rows]."""


def make_view(
    n_rows: int,
    bands: tuple[int, ...] = BANDS,
    n_targets: int = 7,
    seed: int = 0,
    people: NDArray[np.int64] | None = None,
) -> View:
    """Draw a view; without `people`, which number the person of each row, rows come by person."""
    rng = np.random.default_rng(seed)
    people = np.arange(n_rows) // CLIPS_PER_PERSON if people is None else people
    spread = (np.arange(1, N_TRAITS + 1) ** -0.5).astype(np.float32)
    own = rng.standard_normal((people.max() + 1, N_TRAITS), dtype=np.float32)
    traits = rng.standard_normal((n_rows, N_TRAITS), dtype=np.float32)
    traits = spread * (0.6 * own[people] + 0.8 * traits)

    x = np.empty((n_rows, sum(bands)), dtype=np.float32)
    stop = 0
    for width in bands:
        mixing = rng.standard_normal((N_TRAITS, width), dtype=np.float32)
        mixing[rng.permutation(N_TRAITS)[: N_TRAITS // 3]] = 0  # what this encoder does not see
        for rows in np.array_split(np.arange(n_rows), max(1, n_rows // 4096)):
            block = traits[rows] @ mixing
            block += 0.3 * rng.standard_normal(block.shape, dtype=np.float32)
            x[rows, stop : stop + width] = block
        stop += width

    straight = traits @ (spread[:, None] ** 0.5 * rng.standard_normal((N_TRAITS, n_targets)))
    bent = np.tanh(2 * traits[:, :12]) @ rng.standard_normal((12, n_targets))
    bent += np.square(traits[:, 12:24] / spread[12:24]) @ rng.standard_normal((12, n_targets)) / 4
    signal = straight / straight.std(axis=0) + 0.6 * bent / bent.std(axis=0)
    y = 0.45 * signal / signal.std(axis=0) + 0.9 * rng.standard_normal(signal.shape)
    return x, y, people
