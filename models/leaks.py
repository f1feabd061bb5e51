"""Near-identical rows on both sides of a split: scores there reward knowing the person."""

from dataclasses import dataclass

import numpy as np

from models.arrays import Floats, Groups, as_groups, check_same_rows
from models.linkage import row_blocks
from models.people import unit_rows


@dataclass(frozen=True)
class Leak:
    """Near-identical pairs of rows that stand on different sides.

    Attributes
    ----------
    n_pairs : int
        Number of pairs.
    n_rows : int
        Number of rows that are in one.
    n_compared : int
        Number of rows with a vector.
    examples : tuple of (int, int, float)
        The most similar pairs: two row numbers and their cosine similarity.
    """

    n_pairs: int
    n_rows: int
    n_compared: int
    examples: tuple[tuple[int, int, float], ...]

    @property
    def share(self) -> float:
        """Share of the rows with a vector that are in a pair."""
        return self.n_rows / max(self.n_compared, 1)


def near_identical(
    vectors: Floats, side: Groups, min_similarity: float, n_examples: int = 20
) -> Leak:
    """Find pairs of rows of at least a cosine similarity that stand on different sides.

    Parameters
    ----------
    vectors : ndarray, shape (n_rows, dimension)
        Of any length above 0; rows with NaN, and zero rows, are in no pair.
    side : array [n_rows]
        The split or fold of each row.
    min_similarity : float
        Above 0, at most 1.
    n_examples : int
        How many pairs to name.
    """
    sides = np.unique(as_groups(side), return_inverse=True)[1]
    check_same_rows(vectors=vectors, side=sides)
    units, known = unit_rows(vectors)
    rows = np.flatnonzero(known)
    rows = rows[np.argsort(sides[rows], kind="stable")]
    units, sides = units[rows], sides[rows]
    at_least = min_similarity - 1e-6  # equal rows have a product of 1 only up to rounding
    n_pairs, in_pair = 0, np.zeros(len(rows), bool)
    best: list[tuple[float, int, int]] = []
    for block in row_blocks(len(rows), len(rows)):
        # Rows are sorted by side: every later side lies to the right.
        start = int(np.searchsorted(sides, sides[block.start], side="right"))
        products = units[block] @ units[start:].T
        near = (products >= at_least) & (sides[block, None] < sides[None, start:])
        a, b = np.nonzero(near)
        n_pairs += len(a)
        in_pair[block.start + a] = in_pair[start + b] = True
        similarity = np.round(products[a, b], 6)  # so that ties are ties
        top = np.argsort(-similarity, kind="stable")[:n_examples]
        for k in top:
            i, j = sorted((int(rows[block.start + a[k]]), int(rows[start + b[k]])))
            best.append((float(similarity[k]), i, j))
        best = sorted(best, key=lambda pair: (-pair[0], *pair[1:]))[:n_examples]
    examples = tuple((i, j, min(s, 1.0)) for s, i, j in best)
    return Leak(n_pairs, int(in_pair.sum()), len(rows), examples)
