"""Folds by group: no person is ever in two folds, and the folds have alike targets."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from sklearn.model_selection import GroupKFold

from models.arrays import (
    DataError,
    Floats64,
    Groups,
    Ints,
    as_groups,
    as_targets,
    check_same_rows,
    group_codes,
)
from models.metrics import CONSTANT_TOLERANCE

WHOLE = -1
"""In place of a fold: the training set of all rows."""

N_INNER_FOLDS = 5
MOST_INNER_FOLDS = 10


def assign_folds(
    groups: ArrayLike, n_folds: int, seed: int, targets: ArrayLike | None = None
) -> Ints:
    """Assign every row to a fold so that all rows of a group share one.

    Folds have equally many groups, up to one. Without targets the groups are shuffled and dealt
    (scikit-learn's ``GroupKFold(shuffle=True)``). With targets they are dealt in rounds of one per
    fold, largest groups first, each round so that row counts and target means of the folds stay
    close. The result depends on the set of groups, their targets and the seed, not on the order of
    rows.

    Parameters
    ----------
    groups : array [n_rows]
        The person of each row; values of one sortable type.
    n_folds : int
        Number of folds, at least 2.
    seed : int
        Seed of the shuffle; with targets, of the order among equally large groups.
    targets : array [n_rows, n_targets], optional
        What to balance; NaN where unlabelled.

    Returns
    -------
    array of int64 [n_rows]
        The fold of each row, 0 to `n_folds` - 1.

    Raises
    ------
    ValueError
        When `n_folds` is below 2, or targets and groups differ in their number of rows.
    DataError
        When there are fewer groups than folds.

    Notes
    -----
    scikit-learn's ``StratifiedGroupKFold`` takes one class per row, so a profile of several targets
    must be clustered first: on 1,423 simulated people with 11 clips each, the fold means of a
    target then lay up to 0.11 of its standard deviation apart (unstratified: 0.15; here: 0.002).
    """
    codes = group_codes(groups)
    n_groups = int(codes.max()) + 1 if len(codes) else 0
    if n_folds < 2:
        raise ValueError(f"n_folds is {n_folds}; expected at least 2.")
    if n_groups < n_folds:
        fewer = f"Set n_folds to at most {n_groups}, or add" if n_groups > 1 else "Add"
        raise DataError(
            f"{n_groups} groups in {len(codes)} rows cannot fill {n_folds} folds; expected at "
            f"least one group per fold, and two folds. {fewer} clips of more people; where nobody "
            "knows who is who, leave the column `group` out: each clip is then a person."
        )
    if targets is not None:
        values = as_targets(targets, "targets")
        check_same_rows(groups=codes, targets=values)
        return _deal_in_rounds(codes, values, n_folds, seed)[codes]
    fold_of_row = np.empty(len(codes), dtype=np.int64)
    splitter = GroupKFold(n_folds, shuffle=True, random_state=seed)
    for fold, (_, rows) in enumerate(splitter.split(codes, groups=codes)):
        fold_of_row[rows] = fold
    return fold_of_row


def inner_folds(groups: Groups, seed: int) -> Ints:
    """Folds of a training set, for choosing: one per group, or five where there are many groups.

    With a single group, each row is its own group.
    """
    codes = group_codes(groups)
    if codes.max() == 0:
        codes = np.arange(len(codes))
    n_groups = int(codes.max()) + 1
    return codes if n_groups <= MOST_INNER_FOLDS else assign_folds(codes, N_INNER_FOLDS, seed)


def check_folds(groups: ArrayLike, fold_of_row: Ints) -> None:
    """Raise ValueError when a group lies in more than one fold."""
    labels = as_groups(groups)
    check_same_rows(groups=labels, fold_of_row=fold_of_row)
    pairs = np.unique(np.stack([group_codes(labels), fold_of_row]), axis=1)
    codes, n_folds_of_group = np.unique(pairs[0], return_counts=True)
    shared = codes[n_folds_of_group > 1]
    if len(shared):
        name = np.unique(labels)[shared[0]]
        raise ValueError(
            f"{len(shared)} groups lie in more than one fold (first: {name!r}), so a score would "
            "leak identity; make the folds with assign_folds(groups, n_folds, seed)."
        )


def _deal_in_rounds(codes: Ints, targets: Floats64, n_folds: int, seed: int) -> Ints:
    """Fold of each group [n_groups]: every round gives each fold one group."""
    sizes = np.bincount(codes)
    profiles = _profiles(codes, targets)
    order = np.random.default_rng(seed).permutation(len(sizes))
    # Small groups last: they even out what the large ones left.
    order = order[np.argsort(-sizes[order], kind="stable")]
    fold_of_group = np.empty(len(sizes), dtype=np.int64)
    totals = np.zeros((n_folds, profiles.shape[1]))
    for start in range(0, len(order), n_folds):
        dealt = order[start : start + n_folds]
        # Adding p to s changes |s|^2 by 2 s.p + |p|^2, and |p|^2 is the same in every fold.
        which, fold = linear_sum_assignment(profiles[dealt] @ totals.T)
        fold_of_group[dealt[which]] = fold
        totals[fold] += profiles[dealt[which]]
    return fold_of_group


def _profiles(codes: Ints, targets: Floats64) -> Floats64:
    """Return the sums per group that folds should share evenly [n_groups, 2 n_targets].

    For each target, the number of labelled rows and the sum of its deviations from the mean, both
    scaled to root mean square 1 over the groups.
    """
    # One order of rows for every order given: sums of floats depend on it.
    order = np.lexsort((*targets.T, codes))
    codes, targets = codes[order], targets[order]
    known = ~np.isnan(targets)
    mean = np.where(known, targets, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    deviations = np.where(known, targets - mean, 0)
    rounding = CONSTANT_TOLERANCE * np.abs(np.where(known, targets, 0)).max(axis=0)
    deviations[:, np.sqrt(np.square(deviations).mean(axis=0)) <= rounding] = 0
    terms = np.concatenate([known, deviations], axis=1)
    sums = np.stack([np.bincount(codes, term) for term in terms.T], axis=1)
    size = np.sqrt(np.square(sums).mean(axis=0))
    return np.asarray(np.divide(sums, size, out=np.zeros_like(sums), where=size > 0))
