"""How a table of text is written: its separator, its header, where its data begin."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

from pipeline.clip_ids import plain_text

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
"""What may stand between cells, and its name."""

_SAMPLE_ROWS = 16


def sniff(sample: str) -> tuple[str, list[str], int]:
    """Tell how a table is written, from its beginning.

    Parameters
    ----------
    sample : str
        Its beginning, or all of it.

    Returns
    -------
    tuple
        The separator, the names of columns, and how many rows come before the data.

    Raises
    ------
    ValueError
        When there is nothing in it.
    """
    return _sniff_arff(sample) or _sniff_separated(sample)


def text_rows(
    lines: Iterable[str], separator: str, is_checked: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of the rows that are not empty.

    A row over several lines is a ValueError, where that is to be checked, if its quotes do not
    close as they should: those lines may be rows of their own.
    """
    taken: list[str] = []

    def noted() -> Iterator[str]:
        for line in lines:
            taken.append(line)
            yield line

    form: Any = {"delimiter": separator, "skipinitialspace": True}
    reader = csv.reader(noted(), **form)
    for row in reader:
        if is_checked and len(taken) > 1:
            try:
                next(csv.reader(taken, strict=True, **form))
            except csv.Error:
                said = f"the quotes from line {reader.line_num - len(taken) + 1} on do not pair up"
                raise ValueError(f"{said}: mend them, or double those within a cell") from None
        taken.clear()
        if any(cell.strip() for cell in row):
            yield reader.line_num, row


def _sniff_separated(sample: str) -> tuple[str, list[str], int]:
    """Do what `sniff` does, of cells with a separator between them."""

    def rows_by(separator: str) -> tuple[list[list[str]], int]:
        rows = []
        with suppress(csv.Error):  # a line that is too long for one cell
            lines = io.StringIO(sample, newline="")
            rows = [row for _, row in islice(text_rows(lines, separator), _SAMPLE_ROWS)]
        return rows, Counter(map(len, rows)).most_common(1)[0][0] if rows else 0

    def fit(separator: str) -> tuple[float, int]:
        rows, width = rows_by(separator)
        return (sum(len(row) == width for row in rows) / len(rows), width) if width > 1 else (0, 0)

    excel = re.match(r"sep=(.)\r?\n", sample)
    separator = excel[1] if excel else max(SEPARATORS, key=fit)
    rows, width = rows_by(separator)
    n_before = 1 if excel else 0
    n_most = max((sum(map(bool, row)) for row in rows), default=0)
    for row in rows[n_before:]:  # titles, which Excel fills up with separators, and comments
        is_title = n_most > 1 and not any(row[1:])
        if not is_title and not (row[0].startswith("#") and len(row) != width):
            break
        n_before += 1
    if n_before >= len(rows):
        raise ValueError("there is nothing in it")
    header = [plain_text(name) for name in rows[n_before]]
    below = rows[n_before + 1 :]
    while not header[-1] and not any("".join(row[len(header) - 1 :]) for row in below):
        header.pop()  # separators at the end of the line
    if not header[0] and "id" not in header and not all(row[0].isdecimal() for row in below):
        header[0] = "id"  # the index of a data frame
    # Below the names Qualtrics writes the questions, and names of its own.
    n_before += 2 if below[1:] and below[1][0].startswith('{"ImportId"') else 0
    return separator, header, n_before + 1


def _sniff_arff(sample: str) -> tuple[str, list[str], int] | None:
    """Return what `sniff` does, of WEKA's ARFF, as openSMILE writes it; None for others."""
    head = re.match(r"(?is)(.*?^@data.*?\n)", sample, re.MULTILINE)
    if head is None:
        return None
    names = re.findall(r"(?im)^@attribute\s+(?:'([^']*)'|\"([^\"]*)\"|(\S+))", head[1])
    rows = text_rows(head[1].splitlines(keepends=True), ",")
    return ",", [plain_text("".join(name)) for name in names], sum(1 for _ in rows)
