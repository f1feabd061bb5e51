"""Slices of the rows to be scored: by any column, categories as they are and numbers in bands."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.arrays import Bools, Floats64, as_groups, as_targets, check_same_rows

MISSING = "(missing)"
"""The slice of the rows without a value."""

FEW = "(fewer than 2 people each)"
"""The slice of all rows whose own slice shows a single person."""


def slice_rows(values: ArrayLike, n_bands: int = 3) -> dict[str, Bools]:
    """Split rows by the values of one column.

    Numbers, also numbers written as text, are cut into `n_bands` bands of nearly equally many
    rows, named by their ends: ``[18, 31)``, the last one ``[45, 71]``; into fewer where many values
    tie. Where one value is so common that a single band is left, the different values are cut
    instead. Numbers of at most `n_bands` different values, and all else, are categories.

    Parameters
    ----------
    values : array [n_rows]
        Numbers, text or truth values; None, NaN and empty text are missing.
    n_bands : int
        Number of bands, at least 1.

    Returns
    -------
    dict of str to array of bool [n_rows]
        In ascending order, `MISSING` last and only where rows are missing. Every row is in exactly
        one slice.
    """
    column = np.asarray(values, dtype=object)
    known = _known(column)
    numbers = column_numbers(column)
    if numbers is None:
        names, codes = np.unique(np.where(known, column, "").astype(str), return_inverse=True)
        slices = {str(name): known & (codes == code) for code, name in enumerate(names)}
        slices = {name: rows for name, rows in slices.items() if rows.any()}
    elif len(np.unique(numbers[known])) <= n_bands:
        slices = {_short(value): numbers == value for value in np.unique(numbers[known])}
    else:
        slices = _bands(numbers, known, n_bands)
    if not known.all():
        # A category that is called like it keeps its rows.
        slices[MISSING] = slices.get(MISSING, False) | ~known
    return slices


def column_numbers(values: ArrayLike) -> Floats64 | None:
    """Read a column, as of `slice_rows`, as numbers [n_rows], also where they are written as text.

    NaN where missing; None when a value is no finite number. Truth values are none.
    """
    column = np.asarray(values, dtype=object)
    known = _known(column)
    if any(isinstance(value, bool | np.bool_) for value in column[known]):
        return None
    numbers = np.full(len(column), np.nan)
    try:
        numbers[known] = column[known].astype(np.float64)
    except (TypeError, ValueError):
        return None
    return numbers if np.isfinite(numbers[known]).all() else None


def scored_slices(
    y_true: ArrayLike, groups: ArrayLike, slices: Mapping[str, Bools]
) -> dict[str, Bools]:
    """Keep what can be scored of slices: their labelled rows.

    Slices with a single person are put together as `FEW`, so none is left out: a correlation
    within one person says nothing of how well people are told apart. `MISSING` stays by itself.

    Parameters
    ----------
    y_true, groups : array [n_rows, n_targets], [n_rows]
        Labels (NaN where unlabelled) and people.
    slices : mapping of str to array of bool [n_rows]
        From `slice_rows`.

    Returns
    -------
    dict of str to array of bool [n_rows]
        Those that have a labelled row, in their order; `FEW` last.
    """
    true, people = as_targets(y_true), as_groups(groups)
    check_same_rows(y_true=true, groups=people, **slices)
    labelled = ~np.isnan(true).all(axis=1)
    kept: dict[str, Bools] = {}
    few = np.zeros(len(true), dtype=np.bool_)
    for name, rows in slices.items():
        rows = rows & labelled
        if name != MISSING and len(np.unique(people[rows])) < 2:
            few |= rows
        elif rows.any():
            kept[name] = rows
    if few.any():
        kept[FEW] = few
    return kept


def _known(column: NDArray[np.object_]) -> Bools:
    missing = [
        value is None or value != value or (isinstance(value, str) and not value.strip())
        for value in column
    ]
    return ~np.array(missing, dtype=np.bool_)


def _bands(numbers: Floats64, known: Bools, n_bands: int) -> dict[str, Bools]:
    shares = np.linspace(0, 1, n_bands + 1)
    # Ends that occur among the values are short to write.
    ends = np.unique(np.quantile(numbers[known], shares, method="higher"))
    if len(ends) == 2:
        ends = np.quantile(np.unique(numbers[known]), shares, method="higher")
    band_of_row = np.searchsorted(ends[1:-1], numbers, side="right")
    closing = [")"] * (len(ends) - 2) + ["]"]
    return {
        f"[{_short(low)}, {_short(high)}{close}": known & (band_of_row == band)
        for band, (low, high, close) in enumerate(zip(ends[:-1], ends[1:], closing, strict=True))
    }


def _short(number: float) -> str:
    return repr(float(number)).removesuffix(".0")
