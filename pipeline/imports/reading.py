"""Tables as people have them: any usual encoding and separator, decimal commas, Parquet."""

import codecs
import csv
import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pandas as pd

from pipeline.imports.collection import CollectionError
from pipeline.imports.findings import Findings

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


def read_table(path: Path, findings: Findings) -> pd.DataFrame:
    """Read a table as text; cells are stripped, and empty ones null.

    Encoding (UTF-8, UTF-16, UTF-32, Latin-1) and separator (comma, semicolon, tab) are found out;
    what is not UTF-8 with commas is noted. Parquet goes by the file's ending.

    Raises
    ------
    CollectionError
        When there is no such file, it is no table, a row has more or fewer cells than the header,
        or two columns have one name.
    """
    if not path.is_file():
        raise CollectionError(f"there is no table {path}")
    is_parquet = path.suffix.lower() == ".parquet"
    table = _read_parquet(path) if is_parquet else _read_text(path, findings)
    names = pd.Series([str(name) for name in table.columns])
    if names.duplicated().any():
        raise CollectionError(f"{path} has several columns {names[names.duplicated()].iloc[0]!r}")
    if table.empty:
        raise CollectionError(f"{path} has a header but no rows")
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


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except (ValueError, OSError) as error:
        raise CollectionError(f"{path} cannot be read as Parquet: {error}") from error
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
        raise CollectionError(f"{path} cannot be read as a table: {error}") from error
    header = [name.strip() for name in rows[0][1]]
    while header and not header[-1]:
        header.pop()
    width = len(header)
    uneven = [(number, row) for number, row in rows[1:] if len(row) < width or any(row[width:])]
    if uneven:
        number, row = uneven[0]
        raise CollectionError(
            f"{path}: {len(uneven)} of {len(rows) - 1} rows do not have the {width} cells of the "
            f"header; line {number} has {len(row)}: {separator.join(row)[:80]!r}. Quote cells that "
            "hold the separator; numbers with decimal commas need semicolons between them"
        )
    table = pd.DataFrame([row[:width] for _, row in rows[1:]], columns=header, dtype="string")
    if "" in header:  # such as the row numbers that pandas writes
        findings.add("columns without a name", "note", [f"in {path.name}"], "left out")
        table = table.drop(columns="")
    return table


def _decode(path: Path, findings: Findings) -> str:
    raw = path.read_bytes()
    encoding = next((name for mark, name in _MARKS if raw.startswith(mark)), None)
    start = raw[:1000]
    if encoding is None and b"\0" in start:
        encoding = "utf-16-le" if start[1::2].count(0) > start[::2].count(0) else "utf-16-be"
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
        raise CollectionError(f"{path} begins as {encoding} but is not: {error}") from error
    findings.add("encoding", "note", [encoding], f"read {path.name} so")
    return text


def _separator(text: str, path: Path) -> str:
    """Choose the separator that cuts most of the first rows into as many cells as the header."""
    scores = {}
    for separator in _SEPARATORS:
        try:
            widths = [len(row) for _, row in islice(_rows(text, separator), 50)]
        except csv.Error:
            continue
        if widths and widths[0] > 1:
            scores[separator] = (widths.count(widths[0]) / len(widths), widths[0])
    if not scores:
        start = text.lstrip()[:60]
        raise CollectionError(
            f"{path} is no table of several columns, separated by comma, semicolon or tab; it "
            f"begins with {start!r}"
        )
    return max(scores, key=lambda separator: scores[separator])


def _rows(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of the rows that are not empty."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    for row in reader:
        if any(cell.strip() for cell in row):
            yield reader.line_num, row
