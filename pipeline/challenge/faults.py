"""What a prediction file would be refused for: its columns, lines, ids and numbers."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.challenge.submission import FILE_ID
from pipeline.clip_ids import canonical_id

_N_EXAMPLES = 3


@dataclass(frozen=True)
class Finding:
    """A fault, or what deserves a warning.

    Attributes
    ----------
    what : str
        What is wrong, and what was expected.
    count : int
        How often.
    examples : tuple of str
        The first ones.
    """

    what: str
    count: int
    examples: tuple[str, ...]


def column_faults(header: Sequence[str], targets: Sequence[str]) -> Iterator[Finding]:
    """Compare the header with the challenge's: names, spelling, order."""
    wanted = [FILE_ID, *targets]
    if list(header) == wanted:
        return
    expected = f"expected {','.join(wanted)}"
    if len(header) == 1 and re.search("[;\t]", header[0]):
        yield Finding(f"columns are not separated by commas; {expected}", 1, (header[0],))
        return
    known = {canonical_id(name): name for name in wanted}
    strange = [name for name in header if name not in wanted]
    renamed = {known[canonical_id(name)]: name for name in strange if canonical_id(name) in known}
    missing = [name for name in wanted if name not in header and name not in renamed]
    further = [name for name in strange if name not in renamed.values()]
    repeated = [name for name, n in Counter(header).items() if n > 1]
    misspelt = [f"{came!r}: write {name!r}" for name, came in renamed.items()]
    for what, names in {
        "columns are missing": missing,
        "columns are not written as the challenge does": misspelt,
        "columns are not the challenge's": further,
        "columns are there several times": repeated,
    }.items():
        if names:
            yield finding_of(f"{what}; {expected}", names)
    if not (strange or missing or repeated):
        yield Finding(f"columns are in another order; {expected}", 1, (",".join(header),))


def width_faults(
    header: Sequence[str], lines: Sequence[tuple[int, list[str]]]
) -> Iterator[Finding]:
    """Find lines, given with their numbers, that are longer or shorter than the header."""
    wrong = [f"line {n}: {len(line)} cells" for n, line in lines if len(line) != len(header)]
    if wrong:
        yield finding_of(
            f"lines have another number of cells than the header's {len(header)}", wrong
        )


def id_faults(
    ids: Sequence[str], expected: "pd.Index[str]", others: Mapping[str, str]
) -> Iterator[Finding]:
    """Compare ids with those expected; `others` gives the split of all further ones."""
    wanted = set(expected)
    meant = _by_plain_form(expected)
    other_meant = _by_plain_form(others)
    misspelt, elsewhere, unknown, answered = [], [], [], set(ids)
    for name in dict.fromkeys(ids):
        if name in wanted:
            continue
        right, other = meant.get(canonical_id(name)), other_meant.get(canonical_id(name))
        if name in others:
            elsewhere.append(f"{name!r} is of {others[name]}")
        elif right is not None:
            misspelt.append(f"{name!r}: write {right!r}")
            answered.add(right)
        elif other is not None:
            elsewhere.append(f"{name!r} looks like {other!r} of {others[other]}")
        else:
            unknown.append(repr(name))
    repeated = [f"{name!r}: {n} times" for name, n in Counter(ids).items() if n > 1]
    for what, found in {
        "ids are missing": [repr(name) for name in expected if name not in answered],
        "ids are there several times": repeated,
        "ids are not written as the challenge does": misspelt,
        "ids are of clips of another split (see --split)": elsewhere,
        "ids are unknown": unknown,
    }.items():
        if found:
            yield finding_of(what, found)


def number_faults(
    cells: Sequence[Mapping[str, str]],
    ids: Sequence[str],
    targets: Sequence[str],
    values: NDArray[np.float64],
) -> Iterator[Finding]:
    """Find cells whose number (n_rows, n_targets) is none or not finite."""
    wrong = [
        f"{ids[row]} {targets[column]}: {cells[row].get(targets[column], '')!r}"
        for row, column in np.argwhere(~np.isfinite(values))
    ]
    if wrong:
        yield finding_of("cells are no finite numbers", wrong)


def as_number(text: str) -> float:
    """Read a number as a CSV reader does; NaN where it is none."""
    try:
        return float(text) if text.isascii() and "_" not in text else float("nan")
    except ValueError:
        return float("nan")


def finding_of(what: str, found: Sequence[str]) -> Finding:
    """Make the finding of all these, with the first as examples."""
    return Finding(what, len(found), tuple(found[:_N_EXAMPLES]))


def _by_plain_form(ids: "pd.Index[str] | Mapping[str, str]") -> dict[str, str]:
    """Return ids by their plain form, without those that share it."""
    forms = Counter(map(canonical_id, ids))
    return {canonical_id(name): name for name in ids if forms[canonical_id(name)] == 1}
