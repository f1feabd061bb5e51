"""Folds by group: no person is ever in two folds."""

import numpy as np
from numpy.typing import ArrayLike
from sklearn.model_selection import GroupKFold

from models.arrays import DataError, Ints, as_groups, check_same_rows, group_codes


def assign_folds(groups: ArrayLike, n_folds: int, seed: int) -> Ints:
    """Assign every row to a fold so that all rows of a group share one.

    The groups are shuffled, then dealt into folds of nearly equal numbers of groups
    (scikit-learn's ``GroupKFold(shuffle=True)``). A group's fold depends on the set of groups and
    the seed alone, not on the order or number of rows.

    Parameters
    ----------
    groups : array [n_rows]
        The person of each row; values of one sortable type.
    n_folds : int
        Number of folds, at least 2.
    seed : int
        Seed of the shuffle.

    Returns
    -------
    array of int64 [n_rows]
        The fold of each row, 0 to `n_folds` - 1.

    Raises
    ------
    ValueError
        When `n_folds` is below 2.
    DataError
        When there are fewer groups than folds.
    """
    codes = group_codes(groups)
    n_groups = int(codes.max()) + 1 if len(codes) else 0
    if n_folds < 2:
        raise ValueError(f"n_folds is {n_folds}; expected at least 2.")
    if n_groups < n_folds:
        raise DataError(
            f"{n_groups} groups in {len(codes)} rows cannot fill {n_folds} folds; "
            f"expected at least one group per fold. Set n_folds to at most {n_groups}, or "
            "add clips of more people."
        )
    fold_of_row = np.empty(len(codes), dtype=np.int64)
    splitter = GroupKFold(n_folds, shuffle=True, random_state=seed)
    for fold, (_, rows) in enumerate(splitter.split(codes, groups=codes)):
        fold_of_row[rows] = fold
    return fold_of_row


def check_folds(groups: ArrayLike, fold_of_row: Ints) -> None:
    """Check that there are at least two folds and that no group is in two of them.

    Raises
    ------
    ValueError
        When there are fewer than two folds or a group lies in more than one.
    """
    labels = as_groups(groups)
    check_same_rows(groups=labels, fold_of_row=fold_of_row)
    n_folds = len(np.unique(fold_of_row))
    if n_folds < 2:
        raise ValueError(f"{n_folds} fold in {len(labels)} rows; expected at least 2 folds.")
    pairs = np.unique(np.stack([group_codes(labels), fold_of_row]), axis=1)
    codes, n_folds_of_group = np.unique(pairs[0], return_counts=True)
    shared = codes[n_folds_of_group > 1]
    if len(shared):
        name = np.unique(labels)[shared[0]]
        raise ValueError(
            f"{len(shared)} groups lie in more than one fold (first: {name!r}), so a score would "
            "leak identity; make the folds with assign_folds(groups, n_folds, seed)."
        )
