"""Text as other programs write it: encodings, separators, headers, lines that are no data."""

import csv
import gzip
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.clip_ids import plain_text

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}

_SAMPLE_SIZE, _SAMPLE_ROWS = 2**20, 16


def open_text(path: Path, block_values: int) -> tuple[list[str], Iterator[pd.DataFrame], str]:
    """Open a table of text: names of its columns, its rows, and how it is written.

    The rows come in their order, in data frames of about `block_values` cells, all of them text. A
    row of another width is a ValueError.
    """
    encoding = _encoding(path)
    with _text(path, encoding) as file:
        sample = file.read(_SAMPLE_SIZE)
    separator, header, n_before = _sniff_arff(sample) or _sniff(sample)
    width = len(header)
    form = [] if encoding.startswith("utf-8") else [encoding]
    form += [] if separator == "," else [SEPARATORS.get(separator, separator)]
    form += [f"{n_before} rows that are no data"] if n_before > 1 else []

    def blocks() -> Iterator[pd.DataFrame]:
        with _text(path, encoding) as file:
            rows = islice(_rows(file, separator), n_before, None)
            while part := list(islice(rows, max(block_values // width, 1))):
                for line, row in part:
                    if len(row) < width or any(row[width:]):
                        raise ValueError(
                            f"line {line} has {len(row)} cells, the header {width}: "
                            f"{separator.join(row)[:80]!r}. Quote cells that hold the separator; "
                            "numbers with decimal commas need semicolons between them"
                        )
                cells = np.array([row[:width] for _, row in part], object)
                yield pd.DataFrame(cells, columns=header, dtype=object)

    return header, blocks(), ", ".join(form)


def read_text(path: Path) -> str:
    """Read a file of text, in whatever encoding."""
    with _text(path, _encoding(path)) as file:
        return str(file.read())


def _text(path: Path, encoding: str) -> Any:
    opener: Callable[..., Any] = gzip.open if path.suffix.lower() == ".gz" else open
    return opener(path, "rt", encoding=encoding, newline="")


def _encoding(path: Path) -> str:
    """Tell the encoding by its mark, by its zeros, or by whether all of the file decodes."""
    with _text(path, "latin-1") as file:
        start = file.read(1024)
    if start.startswith(("\xff\xfe", "\xfe\xff")):
        return "utf-16"
    if "\0" in start:  # as between plain letters
        return "utf-16-be" if start[0] == "\0" else "utf-16-le"
    for encoding in ("utf-8-sig", "cp1252"):
        with suppress(UnicodeDecodeError), _text(path, encoding) as file:
            while file.read(_SAMPLE_SIZE):
                pass
            return encoding
    return "latin-1"


def _sniff(sample: str) -> tuple[str, list[str], int]:
    """Return the separator, the names of columns, and how many rows come before the data."""

    def rows_by(separator: str) -> tuple[list[list[str]], int]:
        rows = []
        with suppress(csv.Error):  # a line that is too long for one cell
            lines = sample.splitlines(keepends=True)
            rows = [row for _, row in islice(_rows(lines, separator), _SAMPLE_ROWS)]
        return rows, Counter(map(len, rows)).most_common(1)[0][0] if rows else 0

    def fit(separator: str) -> tuple[float, int]:
        rows, width = rows_by(separator)
        return (sum(len(row) == width for row in rows) / len(rows), width) if width > 1 else (0, 0)

    excel = re.match(r"sep=(.)\r?\n", sample)
    separator = excel[1] if excel else max(SEPARATORS, key=fit)
    rows, width = rows_by(separator)
    n_before = 1 if excel else 0
    for row in rows[n_before:]:  # titles and comments
        if len(row) == width or not (row[0].startswith("#") or sum(map(bool, row)) == 1):
            break
        n_before += 1
    if n_before >= len(rows):
        raise ValueError("there is nothing in it")
    header = [plain_text(name) for name in rows[n_before]]
    while not header[-1]:  # separators at the end of the line name no column
        header.pop()
    # Below the names Qualtrics writes the questions, and names of its own.
    below = rows[n_before + 2 : n_before + 3]
    n_before += 2 if below and below[0][0].startswith('{"ImportId"') else 0
    return separator, header, n_before + 1


def _sniff_arff(sample: str) -> tuple[str, list[str], int] | None:
    """Return what `_sniff` does, of WEKA's ARFF, as openSMILE writes it; None for others."""
    head = re.match(r"(?is)(.*?^@data.*?\n)", sample, re.MULTILINE)
    if head is None:
        return None
    names = re.findall(r"(?im)^@attribute\s+(?:'([^']*)'|\"([^\"]*)\"|(\S+))", head[1])
    rows = _rows(head[1].splitlines(keepends=True), ",")
    return ",", [plain_text("".join(name)) for name in names], sum(1 for _ in rows)


def _rows(lines: Iterable[str], separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of the rows that are not empty."""
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    for row in reader:
        if any(cell.strip() for cell in row):
            yield reader.line_num, row
