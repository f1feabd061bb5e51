"""The label table: what a user brings. Read and checked before anything else happens."""

import warnings
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import pandas as pd

from pipeline.settings_files import nearest

SPLITS = ("Train", "Val", "Test")
MADE_BY_INDEX = frozenset(
    {"sha256", "duration_s", "frame_rate_hz", "has_video", "has_audio"}
    | {"error_step", "error_reason"}
)


class LabelError(Exception):
    """A label table that cannot be used; the message says what came and what was expected."""


def read_labels(path: Path, targets: Sequence[str]) -> pd.DataFrame:
    """Read a label table, CSV or Parquet.

    Parameters
    ----------
    path : Path
        Columns: ``clip_id`` (unique text), ``split`` (Train, Val or Test), one per target (numbers
        in [0, 1]; empty = unlabelled), optionally ``path`` (empty, or no such column: a clip
        without media, for imported features) and ``group`` (person; without it every clip counts
        as a person of its own). Further columns are kept for slicing.
    targets : sequence of str
        The target columns.

    Returns
    -------
    DataFrame
        ``clip_id, path, split, group``, the targets as float64, then the other columns, in the
        table's order of rows.

    Raises
    ------
    LabelError
        For a missing file or column, duplicate or empty ids, an unknown split, a target that is
        no number in [0, 1], or one without a label in Train.
    """
    table = _read(path)
    _check_columns(table, path, targets)
    for column in ("path", "group"):
        if column not in table:
            table[column] = pd.NA
    for column in ("clip_id", "path", "split", "group"):
        text = table[column].astype("string").str.strip()
        table[column] = text.mask(text == "")
    given = table[[*targets]].copy()
    for target in targets:
        table[target] = pd.to_numeric(given[target], errors="coerce").astype("float64")
    for rule, wrong, found in _rules(table, given):
        if wrong.any():
            rows = zip(table["clip_id"][wrong], found[wrong], strict=True)
            examples = "; ".join(
                " = ".join(dict.fromkeys(map(str, row))) for row in islice(rows, 3)
            )
            raise LabelError(f"{path}: {wrong.sum()} of {len(table)} rows have {rule}: {examples}")
    of_train = table.loc[table["split"] == "Train", [*targets]]
    if blank := [repr(target) for target in of_train if of_train[target].isna().all()]:
        raise LabelError(
            f"{path}: no clip with split Train is labelled for {', '.join(blank)}: label some, or "
            "take them out of `targets` in params.yaml"
        )
    first = ["clip_id", "path", "split", "group", *targets]
    return table[[*first, *table.columns.difference(first, sort=False)]]


def person_of(table: pd.DataFrame) -> pd.Series:
    """Return who each clip shows; a clip without a group is a person of its own."""
    alone = "clip:" + table["clip_id"].astype("string")
    return table["group"].astype("string").fillna(alone)


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise LabelError(f"there is no label table {path}: set `data.labels` in params.yaml")
    is_parquet = path.suffix == ".parquet"
    try:
        if is_parquet:
            return pd.read_parquet(path)
        # Text first: ids like 00017 keep their zeros.
        # Only nothing is nothing: NA may be a person or a country.
        # Rows that end in a comma, unlike the header, have no column of row names before them.
        with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
            return pd.read_csv(
                path,
                dtype="string",
                encoding="utf-8-sig",
                keep_default_na=False,
                na_values=[""],
                index_col=False,
            )
    except pd.errors.ParserWarning:
        raise LabelError(
            f"{path} has rows with more cells than its header has columns: put text with commas "
            "in quotation marks"
        ) from None
    except (ValueError, OSError) as error:
        form = "Parquet" if is_parquet else "CSV"
        raise LabelError(f"{path} cannot be read as {form}: {error}") from error


def _check_columns(table: pd.DataFrame, path: Path, targets: Sequence[str]) -> None:
    columns = [str(column) for column in table.columns]
    missing = [name for name in ("clip_id", "split", *targets) if name not in columns]
    if missing:
        raise LabelError(
            f"{path} lacks the column(s) {missing}{nearest(missing[0], columns)}. Expected are "
            "clip_id, split and one column per entry of `targets` in params.yaml"
        )
    reserved = [name for name in columns if name in MADE_BY_INDEX]
    if reserved:
        raise LabelError(f"{path} has the column(s) {reserved}, which the index makes: rename them")


def _rules(table: pd.DataFrame, given: pd.DataFrame) -> Iterator[tuple[str, pd.Series, pd.Series]]:
    """Yield what rows may not have, which ones do, and what they have.

    `table` has the targets as numbers, `given` as they stand in the file.
    """
    ids, splits = table["clip_id"], table["split"]
    yield "an empty clip_id", ids.isna(), ids
    yield "an empty split", splits.isna(), splits
    yield "a clip_id that is not unique", ids.duplicated(keep=False), ids
    yield f"a split other than {', '.join(SPLITS)}", ~splits.isin(SPLITS), splits
    for target in given:
        values, said = table[target], given[target].astype("string")
        blank = said.str.strip().str.lower().isin(["", "na", "nan", "null"])
        yield f"a {target} that is no number", values.isna() & said.notna() & ~blank, said
        yield f"a {target} outside [0, 1]", (values < 0) | (values > 1), said
