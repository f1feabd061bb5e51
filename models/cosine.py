"""Vectors compared by cosine, a block of the matrix of all pairs at a time."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from models.arrays import (
    Bools,
    Floats,
    Floats32,
    Floats64,
    Groups,
    Ints,
    as_groups,
    check_same_rows,
)

_BLOCK_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Leak:
    """Near-identical rows on both sides of a split: scores there reward knowing the person.

    Attributes
    ----------
    n_pairs : int
        Number of pairs.
    n_rows : int
        Number of rows that are in one.
    share : float
        `n_rows` as a share of the rows with a vector.
    examples : tuple of (int, int, float)
        The most similar pairs: two row numbers and their cosine similarity.
    """

    n_pairs: int
    n_rows: int
    share: float
    examples: tuple[tuple[int, int, float], ...]


def unit_rows(vectors: Floats) -> tuple[Floats32, Bools]:
    """Scale rows to length 1, zero where there is no vector; mark the rows that have one.

    That is: finite and not zero. Both are [n_rows, ...], of float32 and bool.
    """
    units = np.array(vectors, np.float32)
    units[~np.isfinite(units).all(axis=1)] = 0
    # By the largest value first: squares of large or small numbers leave float32.
    units /= np.maximum(np.abs(units).max(axis=1, keepdims=True, initial=0), 1e-30)
    length = np.linalg.norm(units, axis=1, keepdims=True)
    known = length[:, 0] > 0
    units /= np.where(length > 0, length, 1)
    return units, known


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
    n_rows = int(in_pair.sum())
    return Leak(n_pairs, n_rows, n_rows / max(len(rows), 1), examples)


def average_linkage(vectors: Floats, max_distance: float) -> tuple[Ints, Floats64]:
    """Join clusters of unit vectors while their mean cosine distance is below a limit.

    Parameters
    ----------
    vectors : array [n_rows, dimension]
        Of length 1, without NaN.
    max_distance : float
        Clusters this far apart, or farther, stay apart.

    Returns
    -------
    ends : array of int64 [n_merges, 2]
        A row of each of two clusters that were joined.
    distance : array of float64 [n_merges]
        Mean cosine distance between the rows of the one and of the other, 0 to 2. A dendrogram, to
        be cut anywhere (`joined_rows`); it does not depend on the order of rows, up to ties.

    Notes
    -----
    The result is that of SciPy's ``linkage(vectors, "average", "cosine")``, whose matrix of pairs
    is 2.5 GB for 25,000 rows. The mean product of all pairs between two clusters is the product of
    their mean vectors, so these are all that is kept. Average linkage is reducible (Murtagh 1983):
    clusters that are each other's nearest may be joined all at once, and clusters with no near
    neighbour left are done.
    """
    means = vectors.astype(np.float32)
    size = np.ones(len(means))
    row = np.arange(len(means))  # a row of each cluster that is left
    nearest = np.zeros(len(means), np.int64)
    similarity = np.full(len(means), -np.inf)
    stale = np.ones(len(means), bool)
    ends, distance = [np.empty((0, 2), np.int64)], [np.empty(0)]
    while True:
        nearest[stale], similarity[stale] = _nearest(means, np.flatnonzero(stale))
        going_on = similarity > 1 - max_distance
        if not going_on.any():
            return np.concatenate(ends), np.concatenate(distance)
        a, b = _mutual(nearest, similarity, going_on)
        ends.append(np.stack([row[a], row[b]], axis=1))
        distance.append(1 - similarity[a])
        share = (size[b] / (size[a] + size[b])).astype(np.float32)[:, None]
        means[a] += share * (means[b] - means[a])
        size[a] += size[b]
        joined = np.zeros(len(means), bool)
        joined[a] = joined[b] = True
        # What is done is nobody's nearest any more, except by rounding.
        left = going_on
        left[b] = False
        stale = joined | joined[nearest] | ~left[nearest]
        place = np.cumsum(left) - 1
        means, size, row, stale = means[left], size[left], row[left], stale[left]
        nearest, similarity = place[nearest[left]], similarity[left]


def joined_rows(n_rows: int, ends: Ints) -> Ints:
    """Return cluster numbers from 0 [n_rows] after some of the merges of `average_linkage`."""
    graph = coo_array((np.ones(len(ends), bool), ends.T), shape=(n_rows, n_rows))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def row_blocks(n_rows: int, n_columns: int) -> list[slice]:
    """Cut rows so that a block of a float32 matrix [n_rows, n_columns] stays small."""
    step = max(1, _BLOCK_BYTES // max(4 * n_columns, 1))
    return [slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step)]


def _nearest(means: Floats, rows: Ints) -> tuple[Ints, Floats64]:
    """Return the nearest other cluster of `rows` and the mean product with it."""
    nearest = np.zeros(len(rows), np.int64)
    similarity = np.full(len(rows), -np.inf)
    for block in row_blocks(len(rows), len(means)) if len(means) > 1 else ():
        products = means[rows[block]] @ means.T
        each = np.arange(len(products))
        products[each, rows[block]] = -np.inf
        nearest[block] = products.argmax(axis=1)
        similarity[block] = products[each, nearest[block]]
    return nearest, similarity


def _mutual(nearest: Ints, similarity: Floats64, going_on: Bools) -> tuple[Ints, Ints]:
    """Return pairs of clusters that are each other's nearest; at least one pair."""
    index = np.arange(len(nearest))
    a = np.flatnonzero(going_on & (nearest[nearest] == index) & (index < nearest))
    if not len(a):  # rounding can make a ring of equal distances
        a = np.array([similarity.argmax()])
    return a, nearest[a]
