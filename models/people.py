"""Pseudo-subjects: clips that show the same face, found by one face vector for each clip."""

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage

from models.arrays import (
    Bools,
    DataError,
    Floats,
    Floats32,
    Groups,
    Ints,
    check_same_rows,
    group_codes,
)

ALONE = -1
"""The cluster number of rows without a vector."""

_LOOSEST = 1.0  # vectors at right angles have nothing in common
_N_CUTS = 32
_N_SAMPLED = 2048
_BLOCK_VALUES = 2**24  # of the matrix of all pairs


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


def cluster_people(
    vectors: Floats, max_distance: float | None = None, seed: int = 0
) -> tuple[Ints, float]:
    """Cluster face vectors to pseudo-subjects by average linkage.

    Parameters
    ----------
    vectors : ndarray, shape (n_rows, dimension)
        One per clip, of any length above 0; NaN or zero where a clip has none.
    max_distance : float, optional
        Mean cosine distance from which clusters stay apart. By default the one among 32 between
        the nearest and the farthest joint at which a sample has the largest `silhouette`.
    seed : int
        Seed of that sample.

    Returns
    -------
    label : ndarray of int64, shape (n_rows,)
        Cluster numbers from 0 in the order of first rows, `ALONE` without a vector; the same
        clusters for any order of rows.
    max_distance : float
        As given, or as chosen.

    Raises
    ------
    DataError
        When no row has a vector.

    Notes
    -----
    On simulated faces of 180 people average linkage, complete linkage and HDBSCAN all found every
    person where people stand apart; with more noise their adjusted Rand index was 0.998, 0.976
    (both at the best of a few thresholds) and 0.976. SciPy holds the distances of all pairs twice:
    2 GB for 16,000 clips.
    """
    units, known = unit_rows(vectors)
    if not known.any():
        raise DataError(
            f"none of the {len(units)} clips has a face vector: expected at least one. Choose an "
            "encoder that embeds these clips, or `people.source: group`"
        )
    # Equal rows once, and one order of rows for every order given.
    different, which = np.unique(units[known], axis=0, return_inverse=True)
    tree = np.empty((0, 4))
    if len(different) > 1:
        tree = linkage(different, "average", "cosine")
        tree[:, 2] = tree[:, 2].clip(0)  # of equal directions it may be just below

    def cut(distance: float, rows: Ints) -> Ints:
        if not len(tree):
            return np.zeros(len(rows), np.int64)
        below = np.nextafter(distance, 0)  # SciPy also joins what is just as far apart
        return fcluster(tree, below, "distance")[rows].astype(np.int64)

    joints = tree[tree[:, 2] < _LOOSEST, 2]
    if max_distance is None and len(joints):
        # The first cut is below every joint: equal vectors may be all that belongs together.
        cuts, rows = np.linspace(joints.min(), joints.max(), _N_CUTS), np.sort(which.ravel())
        apart = np.array([silhouette(different[rows], cut(each, rows), seed) for each in cuts])
        best = np.flatnonzero(apart >= np.nanmax(apart) - 1e-6)
        max_distance = cuts[best[len(best) // 2]]  # amid the gap
    max_distance = _LOOSEST if max_distance is None else float(max_distance)
    label = np.full(len(units), ALONE, np.int64)
    labels = cut(max_distance, which.ravel())
    _, first, codes = np.unique(labels, return_index=True, return_inverse=True)
    label[known] = np.argsort(np.argsort(first))[codes]
    return label, max_distance


def silhouette(vectors: Floats, label: Ints, seed: int = 0) -> float:
    """Measure how clusters stand apart: the mean silhouette by cosine distance.

    It is that of scikit-learn's ``silhouette_score`` over a sample of 2,048 rows that are not
    `ALONE`, where all rows of their clusters count: 0 for rows that are alone in a cluster, NaN
    with one cluster. Below 0.25 there is no structure to speak of (Kaufman and Rousseeuw 1990).

    Parameters
    ----------
    vectors : ndarray, shape (n_rows, dimension)
        As `cluster_people` takes them.
    label : ndarray of int64, shape (n_rows,)
        From `cluster_people`.
    seed : int
        Seed of the sample.
    """
    check_same_rows(vectors=vectors, label=label)
    units, codes = unit_rows(vectors)[0][label != ALONE], group_codes(label[label != ALONE])
    size = np.bincount(codes)
    if len(size) < 2:
        return float("nan")
    sums = np.zeros((len(size), units.shape[1]), np.float32)
    np.add.at(sums, codes, units)
    rows = np.sort(np.random.default_rng(seed).permutation(len(units))[:_N_SAMPLED])
    units, own, own_size = units[rows], codes[rows], size[codes[rows]]
    # The mean similarity of a row to a cluster is its product with the cluster's mean vector.
    within = (np.einsum("nd,nd->n", units, sums[own]) - 1) / np.maximum(own_size - 1, 1)
    others = units @ (sums / size[:, None].astype(np.float32)).T
    others[np.arange(len(rows)), own] = -np.inf
    a, b = (1 - np.minimum(each, 1) for each in (within, others.max(axis=1)))
    far = np.maximum(a, b)
    widths = np.divide(b - a, far, out=np.zeros(len(rows)), where=(far > 0) & (own_size > 1))
    return float(widths.mean())


def nearest_across(vectors: Floats, side: Groups) -> tuple[Floats32, Ints]:
    """Find for each row the most similar one of those on other sides of a split.

    Parameters
    ----------
    vectors : ndarray, shape (n_rows, dimension)
        Of any length above 0; NaN or zero where a row has none.
    side : array [n_rows]
        The split or fold of each row.

    Returns
    -------
    similarity : ndarray of float32, shape (n_rows,)
        Cosine similarity to it; NaN without a vector, at most 0 with nobody on other sides.
    nearest : ndarray of int64, shape (n_rows,)
        Its number.
    """
    sides = group_codes(side)
    check_same_rows(vectors=vectors, side=sides)
    units, known = unit_rows(vectors)
    similarity = np.full(len(units), np.nan, np.float32)
    nearest = np.zeros(len(units), np.int64)
    step = max(_BLOCK_VALUES // max(len(units), 1), 1)
    for start in range(0, len(units), step):
        rows = slice(start, start + step)
        products = (units[rows] @ units.T).clip(-1, 1)
        products[sides[rows, None] == sides] = -1
        nearest[rows] = products.argmax(axis=1)
        similarity[rows] = np.where(known[rows], products.max(axis=1), np.nan)
    return similarity, nearest
