"""Array types shared by the package, and the checks that every entry point repeats."""

import ctypes
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.floating[Any]]
Floats32 = NDArray[np.float32]
Floats64 = NDArray[np.float64]
Numbers = NDArray[np.intp]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Groups = NDArray[Any]
T = TypeVar("T", bound=np.generic)

M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8
LARGE_BYTES = 2**20
"""Arrays of this size are given back as they are freed; else a freed one raises this limit."""


class DataError(ValueError):
    """The data at hand do not allow what was asked: too few people or labels."""


def as_targets(values: ArrayLike, name: str = "y") -> Floats64:
    """Return targets or predictions as float64 [n_rows, n_targets], maybe with NaN.

    Raises
    ------
    ValueError
        When the array, called `name` there, does not have two dimensions, has no target, or holds
        an infinite value.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(
            f"{name} has shape {array.shape}; expected [n_rows, n_targets]. "
            f"For one target pass {name}.reshape(-1, 1)."
        )
    if np.isinf(array).any():
        raise ValueError(f"{name} holds infinite values; write NaN where a value is missing.")
    return array


def as_groups(groups: ArrayLike) -> Groups:
    """Return groups as an array [n_rows]; a ValueError names a row without one (None or NaN)."""
    array = np.asarray(groups)
    if array.ndim != 1:
        raise ValueError(f"groups has shape {array.shape}; expected [n_rows], one group per row.")
    missing = [row for row, group in enumerate(array) if group is None or group != group]
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(array)} rows have no group (first: row {missing[0]}); "
            "give every row a group, for example its own row number where the person is unknown."
        )
    return array


def group_codes(groups: ArrayLike) -> Ints:
    """Return group numbers from 0, in sorted order: they do not depend on the order of rows."""
    codes = np.unique(as_groups(groups), return_inverse=True)[1]
    return codes.astype(np.int64)


def take_rows(array: NDArray[T], rows: Bools) -> NDArray[T]:
    """Return the marked rows: the array itself, not a copy, where all of them are."""
    return array if rows.all() else array[rows]


def label_patterns(targets: Floats64) -> list[tuple[Bools, Numbers]]:
    """Group the targets [n_rows, n_targets] that are labelled, not NaN, in the same rows.

    Returns
    -------
    list of (rows, columns)
        `rows` [n_rows] marks the labelled rows that the targets numbered `columns` share.
    """
    patterns, pattern_of_target = np.unique(~np.isnan(targets), axis=1, return_inverse=True)
    return [
        (rows, np.flatnonzero(pattern_of_target == number))
        for number, rows in enumerate(patterns.T)
    ]


def mean_of_known(values: Floats64) -> float:
    """Return the mean of the values that are not NaN; NaN where there are none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def check_same_rows(**arrays: NDArray[Any]) -> None:
    """Raise ValueError, naming each length, unless all arrays have equally many rows."""
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise ValueError(f"arrays differ in their number of rows: {listed}; pass one row per clip.")


def return_freed_memory() -> None:
    """Give freed memory back, where C's library can: it keeps what large arrays leave behind.

    Without, on 4,000 faces x 1,908, LightGBM's peak was 5.8 times the matrix, not 3.5; and where
    arrays of `LARGE_BYTES` did not lie by themselves, on 1,200 faces, 6.6 times, not 4.2. Threads
    share one heap: what is freed in one of their own stays there when they end.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim") and hasattr(library, "mallopt"):
        library.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
        library.mallopt(M_ARENA_MAX, 1)
        library.malloc_trim(0)
