"""How tables of text are written: their separators, headers and first rows; numbers and times."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.clip_ids import plain_text

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
"""What may stand between cells, and its name."""

_SAMPLE_ROWS = 16

_MARKS = "[\\s\\-\u2013\u2014_.?/#<>()*]*"
BLANK = rf"{_MARKS}((n[/.]?a{_MARKS})+|nan|nan\(ind|null|nil|none|missing|1\.#[a-z]+\d*)?{_MARKS}"
BLANK = rf"(?i)({BLANK}|#[a-z0/]+[!?])"  # the latter is what Excel cannot compute
"""What stands for nothing in a cell, such as ``NA`` and ``--``."""
_LIKE_A_NUMBER = r"[+-]?[\d.,]*\d[\d.,]*([eE][+-]?\d+)?\s*%?"
_DECIMAL_COMMA = r"[+-]?\d*,\d+([eE][+-]?\d+)?"
_COMMAS_OF_THOUSANDS = r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?"
_POINTS_OF_THOUSANDS = r"[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d*)?"


def sniff(sample: str) -> tuple[str, list[str], int]:
    """Return separator, names of columns, and how many rows come before the data.

    `sample` is the table's beginning, or all of it; a ValueError when there is nothing in it.
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


def to_numbers(cells: Any) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Read cells (n,), text or numbers, as numbers with decimal points or commas.

    Points and commas in one column are told apart where one of them groups thousands (``1,234.5``);
    otherwise the commas are wrong. Spaces and apostrophes may group them too. Percentages are
    divided by 100 where all cells are such. Digits and minus signs may be those of any script.

    Returns
    -------
    values : ndarray of float64
        NaN where blank (empty, ``NaN``, ``NA``, ``n.a.``, ``null``, ``-``, ``#DIV/0!`` …) or wrong.
    wrong : ndarray of bool
        Where there is something that is no number.
    """
    text = pd.Series(cells, dtype="string").str.strip()
    values = _parsed(text)
    odd = np.isnan(values) & text.notna().to_numpy()
    odd[odd] = ~text[odd].str.fullmatch(BLANK)
    if odd.any():
        text[odd] = _plain_digits(text[odd])
        # A word among the numbers says nothing of how these are written.
        filled = text.str.fullmatch(_LIKE_A_NUMBER).to_numpy(bool, na_value=False)
        values[filled] = _parsed(_with_points(text[filled]))
        odd &= np.isnan(values)
    return values, odd


def to_times(column: pd.Series) -> tuple[NDArray[np.float64], bool]:
    """Read times, and say whether they are seconds for sure, as ``0 days 00:01:02,5`` and ``1:02``.

    Other numbers may be of any unit; NaN is what is no time.
    """
    times, wrong = to_numbers(column)
    if not wrong.any():
        return times, False
    text = column.astype("string").str.strip().str.replace(",", ".", regex=False)
    text = text.str.replace(r"^(\d+:[\d.]+)$", r"00:\1", regex=True)
    seconds = pd.to_timedelta(text, errors="coerce").dt.total_seconds()
    return np.asarray(seconds, np.float64), True


def _sniff_separated(sample: str) -> tuple[str, list[str], int]:
    """Do what `sniff` does, of cells with a separator between them."""

    def rows_by(separator: str) -> tuple[list[list[str]], int]:
        rows, lines = [], io.StringIO(sample, newline="")
        with suppress(csv.Error):  # a line that is too long for one cell
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
    n_rows = sum(1 for _ in text_rows(io.StringIO(head[1], newline=""), ","))
    return ",", [plain_text("".join(name)) for name in names], n_rows


def _parsed(text: "pd.Series[str]") -> NDArray[np.float64]:
    return pd.to_numeric(text, errors="coerce").to_numpy(np.float64, na_value=np.nan, copy=True)


def _plain_digits(text: "pd.Series[str]") -> "pd.Series[str]":
    """Write other digits, minus signs, gaps between thousands and Excel's quotes plainly."""
    text = text.str.normalize("NFKC").str.replace("\N{MINUS SIGN}", "-")
    text = text.str.replace(r"^(?:=\"(.*)\"|'(.*?)'?)$", r"\1\2", regex=True)
    text = text.str.replace(r"(?<=\d)[\s'\u2019](?=\d{3}(?!\d))", "", regex=True)
    return text.str.replace(r"\d", lambda digit: str(int(digit[0])), regex=True)


def _with_points(text: "pd.Series[str]") -> "pd.Series[str]":
    """Write numbers with decimal points and nothing else, where that is clear."""
    if text.str.endswith("%").all():
        return text.str.removesuffix("%").str.strip() + "e-2"
    commas, points = (text.str.contains(mark, regex=False) for mark in ",.")
    large = bool((np.abs(_parsed(text[~commas])) >= 100).any())
    of_thousands = text[commas].str.fullmatch(_COMMAS_OF_THOUSANDS).all()
    if of_thousands and (large or (text[commas].str.count("[,.]") > 1).any()):
        return text.str.replace(",", "", regex=False)
    grouped = text[points].str.fullmatch(_POINTS_OF_THOUSANDS)
    if commas.any() and grouped.all() and (commas[points].any() or not points.any()):
        text = text.str.replace(".", "", regex=False)
        return text.where(~text.str.fullmatch(_DECIMAL_COMMA), text.str.replace(",", "."))
    return text
