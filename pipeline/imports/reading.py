"""Tables as people have them: any usual encoding and separator, decimal commas, Parquet."""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from pipeline.imports.findings import Findings, RefusedError

# UTF-32 before UTF-16, whose mark it begins with.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
_BLANK = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "?"})
_DECIMAL_COMMA = r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?"
_DECIMAL_POINT = r"[+-]?\d*\.\d+(?:[eE][+-]?\d+)?"
_SAMPLE_BYTES, _SAMPLE_ROWS = 2**20, 8


def read_table(path: Path, findings: Findings) -> pd.DataFrame:
    """Read a table as text; cells are stripped, and empty ones null.

    Encoding (UTF-8, UTF-16, UTF-32, Latin-1) and separator (comma, semicolon, tab) are found out;
    what is not UTF-8 with commas is noted. Parquet goes by the file's ending.

    Raises
    ------
    RefusedError
        When there is no such file, it is no table, a row has more or fewer cells than the header,
        or two columns have one name.
    """
    if not path.is_file():
        raise RefusedError("no such table", [path.name], f"there is no table {path}")
    is_parquet = path.suffix.lower() == ".parquet"
    table = _read_parquet(path) if is_parquet else _read_text(path, findings)
    names = pd.Series([str(name) for name in table.columns])
    twice = names[names.duplicated()].drop_duplicates()
    if len(twice):
        why = f"{path} has several columns {twice.iloc[0]!r}: rename all but one"
        raise RefusedError("columns of one name", twice, why)
    if table.empty:
        raise RefusedError("tables without rows", [path.name], f"{path} has a header but no rows")
    table.columns = pd.Index(list(names))
    table = table.apply(lambda column: column.astype("string").str.strip())
    result: pd.DataFrame = table.mask(table == "")
    return result


def to_numbers(text: "pd.Series[str]") -> "tuple[pd.Series[float], pd.Series[bool]]":
    """Read numbers, with decimal points or commas.

    Returns
    -------
    numbers : Series of float64
        NaN where blank (empty, ``NaN``, ``NA``, ``null``, ``none``, ``-``, ``?``) or no number.
    wrong : Series of bool
        Where there is something that is no number. Points and commas in one column are told apart
        by nothing, so the commas are then wrong.
    """
    given = text.astype("string").str.strip()
    numbers = pd.to_numeric(given, errors="coerce").astype("float64")
    if has_decimal_commas(given):
        numbers = pd.to_numeric(given.str.replace(",", "."), errors="coerce").astype("float64")
    blank = given.isna() | given.str.lower().isin(_BLANK)
    return numbers, numbers.isna() & ~blank.fillna(True).astype(bool)


def has_decimal_commas(text: "pd.Series[str]") -> bool:
    """Tell whether the numbers of a column have commas, and none has a point."""
    commas = text.str.fullmatch(_DECIMAL_COMMA).fillna(False)
    points = text.str.contains(".", regex=False).fillna(False)
    return bool(commas.any() and not points.any())


class Form(NamedTuple):
    """How the text of a table is written, and the names of its columns."""

    encoding: str
    separator: str
    decimal: str
    header: list[str]

    def __str__(self) -> str:
        """Say what is not as usual; empty for UTF-8 with commas and decimal points."""
        said = [] if self.encoding == "utf-8" else [self.encoding]
        said += [] if self.separator == "," else [_SEPARATORS[self.separator]]
        said += ["decimal commas"] if self.decimal == "," else []
        return ", ".join(said)


def sniff(path: Path) -> Form:
    """Find out from its beginning how a table is written; a table may have one column.

    Raises
    ------
    ValueError
        When it is empty, or its first rows are longer than its header.
    """
    with path.open("rb") as file:
        raw = file.read(_SAMPLE_BYTES)
    encoding = _encoding(raw) or "utf-8"
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(raw)  # it may end within a letter
    except UnicodeDecodeError:
        encoding, text = "latin-1", raw.decode("latin-1")
    separator = _best_separator(text, _SAMPLE_ROWS) or ","
    try:
        rows = [row for _, row in islice(_rows(text, separator), _SAMPLE_ROWS)]
    except csv.Error as error:
        raise ValueError(str(error)) from error
    if not rows:
        raise ValueError("there is nothing in it")
    header = _header(rows[0])
    whole = rows[1:-1] if len(raw) == _SAMPLE_BYTES else rows[1:]
    longest = max((len(row) for row in whole if any(row[len(header) :])), default=0)
    if longest > len(header):
        raise ValueError(f"the header has {len(header)} cells, and a row {longest}")
    cells = [cell.strip() for row in whole for cell in row]
    commas = any(re.fullmatch(_DECIMAL_COMMA, cell) for cell in cells)
    points = any(re.fullmatch(_DECIMAL_POINT, cell) for cell in cells)
    return Form(encoding, separator, "," if commas and not points else ".", header)


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except (ValueError, OSError) as error:
        why = f"{path} cannot be read as Parquet: {error}"
        raise RefusedError("files that cannot be read", [path.name], why) from error
    named = [name for name in table.index.names if name is not None]
    return table.reset_index() if named else table


def _read_text(path: Path, findings: Findings) -> pd.DataFrame:
    text = _decode(path, findings)
    separator = _separator(text, path)
    if separator != ",":
        findings.add("separator", "note", [_SEPARATORS[separator]], f"read {path.name} with it")
    try:
        rows = list(_rows(text, separator))
    except csv.Error as error:
        why = f"{path} cannot be read as a table: {error}"
        raise RefusedError("files that cannot be read", [path.name], why) from error
    header = _header(rows[0][1])
    width = len(header)
    uneven = [(number, row) for number, row in rows[1:] if len(row) < width or any(row[width:])]
    if uneven:
        number, row = uneven[0]
        raise RefusedError(
            "rows longer or shorter than the header",
            [f"line {number}" for number, _ in uneven],
            f"{path}: {len(uneven)} of {len(rows) - 1} rows do not have the {width} cells of the "
            f"header; line {number} has {len(row)}: {separator.join(row)[:80]!r}. Quote cells that "
            "hold the separator; numbers with decimal commas need semicolons between them",
        )
    table = pd.DataFrame([row[:width] for _, row in rows[1:]], columns=header, dtype="string")
    if "" in header:  # such as the row numbers that pandas writes
        findings.add("columns without a name", "note", [f"in {path.name}"], "left out")
        table = table.drop(columns="")
    return table


def _decode(path: Path, findings: Findings) -> str:
    raw = path.read_bytes()
    encoding = _encoding(raw)
    if encoding is None:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            text = raw.decode("latin-1")
            odd = sorted({word for word in text.split() if not word.isascii()})
            done = f"{path.name} is not UTF-8 and was read as Latin-1: check these words"
            findings.add("encoding guessed", "warning", odd, done)
            return text
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        why = f"{path} begins as {encoding} but is not: {error}"
        raise RefusedError("files that cannot be read", [path.name], why) from error
    findings.add("encoding", "note", [encoding], f"read {path.name} so")
    return text


def _encoding(raw: bytes) -> str | None:
    """Tell the encoding by its mark, or by zeros; None where neither says anything."""
    marked = next((name for mark, name in _MARKS if raw.startswith(mark)), None)
    start = raw[:1000]
    if marked is None and b"\0" in start:
        return "utf-16-le" if start[1::2].count(0) > start[::2].count(0) else "utf-16-be"
    return marked


def _separator(text: str, path: Path) -> str:
    separator = _best_separator(text, 50)
    if separator is None:
        start = text.lstrip()[:60]
        raise RefusedError(
            "no table",
            [path.name],
            f"{path} is no table of several columns, separated by comma, semicolon or tab; it "
            f"begins with {start!r}",
        )
    return separator


def _best_separator(text: str, n_rows: int) -> str | None:
    """Choose the separator that cuts most of the first rows into as many cells as the header."""
    scores = {}
    for separator in _SEPARATORS:
        try:
            widths = [len(row) for _, row in islice(_rows(text, separator), n_rows)]
        except csv.Error:
            continue
        if widths and widths[0] > 1:
            scores[separator] = (widths.count(widths[0]) / len(widths), widths[0])
    return max(scores, key=lambda separator: scores[separator]) if scores else None


def _header(row: list[str]) -> list[str]:
    """Return the names of columns; separators at the end of the line name none."""
    names = [name.strip() for name in row]
    while names and not names[-1]:
        names.pop()
    return names


def _rows(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of the rows that are not empty."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    for row in reader:
        if any(cell.strip() for cell in row):
            yield reader.line_num, row
