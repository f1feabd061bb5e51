"""Average linkage of vectors by cosine: exact, and without the matrix of all pairs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from models.arrays import Bools, Floats, Ints

_BLOCK_BYTES = 64 * 2**20


@dataclass(frozen=True, repr=False)
class Merges:
    """Which clusters were joined, and how far apart they were: a dendrogram to be cut anywhere.

    Attributes
    ----------
    n_rows : int
        Number of vectors.
    ends : array of int64 [n_merges, 2]
        A row of each of the two clusters.
    distance : array of float64 [n_merges]
        Mean cosine distance between the rows of the one and of the other, 0 to 2.
    """

    n_rows: int
    ends: Ints
    distance: NDArray[np.float64]

    def __repr__(self) -> str:
        return f"Merges({len(self.distance)} of {self.n_rows} rows)"

    def cut(self, distance: float) -> Ints:
        """Return cluster numbers from 0 [n_rows]: joined are those below `distance`."""
        ends = self.ends[self.distance < distance]
        graph = coo_array((np.ones(len(ends), bool), ends.T), shape=(self.n_rows, self.n_rows))
        return connected_components(graph, directed=False)[1].astype(np.int64)


def average_linkage(vectors: Floats, max_distance: float) -> Merges:
    """Join clusters of unit vectors while their mean cosine distance is below a limit.

    Parameters
    ----------
    vectors : array [n_rows, dimension]
        Of length 1, without NaN.
    max_distance : float
        Clusters this far apart, or farther, stay apart.

    Returns
    -------
    Merges
        Does not depend on the order of the rows, up to ties.

    Notes
    -----
    The mean product of all pairs between two clusters is the product of their mean vectors, so the
    clusters' means are all that is kept. Average linkage is reducible (Murtagh 1983): clusters that
    are each other's nearest are joined all at once, with the result of the usual one-by-one order;
    and clusters with no near neighbour left are done. The result is that of SciPy's
    ``linkage(vectors, "average", "cosine")``, whose matrix of pairs is 2.5 GB for 25,000 rows.
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
            return Merges(len(vectors), np.concatenate(ends), np.concatenate(distance))
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


def row_blocks(n_rows: int, n_columns: int) -> list[slice]:
    """Cut rows so that a block of a float32 matrix [n_rows, n_columns] stays small."""
    step = max(1, _BLOCK_BYTES // max(4 * n_columns, 1))
    return [slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step)]


def _nearest(means: Floats, rows: Ints) -> tuple[Ints, NDArray[np.float64]]:
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


def _mutual(nearest: Ints, similarity: NDArray[np.float64], going_on: Bools) -> tuple[Ints, Ints]:
    """Return pairs of clusters that are each other's nearest; at least one pair."""
    index = np.arange(len(nearest))
    a = np.flatnonzero(going_on & (nearest[nearest] == index) & (index < nearest))
    if not len(a):  # rounding can make a ring of equal distances
        a = np.array([similarity.argmax()])
    return a, nearest[a]
