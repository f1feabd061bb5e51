"""The label table: what a user brings. Read and checked before anything else happens."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from pipeline.findings import Findings, RefusedError
from pipeline.reading import read_text_table
from pipeline.settings_files import nearest

SPLITS = ("Train", "Val", "Test")
MADE_BY_INDEX = frozenset(
    {"sha256", "duration_s", "frame_rate_hz", "has_video", "has_audio"}
    | {"error_step", "error_reason"}
)


class LabelError(RefusedError):
    """A label table that cannot be used; `said` goes on from its name."""

    def __init__(self, path: Path, said: str) -> None:
        kind = "label tables that cannot be used"
        super().__init__(kind, [path], f"the label table {path} {said}")


def read_labels(path: Path, targets: Sequence[str]) -> pd.DataFrame:
    """Read a label table, CSV in UTF-8 or Parquet.

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
    RefusedError
        When the file cannot be read as a table.
    """
    if not path.is_file():
        done = "set `data.labels` in params.yaml, or bring data in with `eri import`"
        raise LabelError(path, f"is not there: {done}")
    findings = Findings()
    table = read_text_table(path, findings)  # ids like 00017 keep their zeros
    if findings.all:
        form = findings.all[0].items[0]
        raise LabelError(path, f"is not UTF-8 with commas ({form}): use `eri import table`")
    _check_columns(table, path, targets)
    first = ["clip_id", "path", "split", "group", *targets]
    table = table.reindex(columns=[*dict.fromkeys([*first, *table])])
    table = table.astype({"path": "string", "group": "string"})  # also where there are none
    given = table[[*targets]].copy()
    for target in targets:
        table[target] = pd.to_numeric(given[target], errors="coerce").astype("float64")
    for rule, wrong, found in _rules(table, given):
        if wrong.any():
            rows = list(zip(table["clip_id"][wrong], found[wrong], strict=True))[:3]
            examples = "; ".join(" = ".join(dict.fromkeys(map(str, row))) for row in rows)
            n_rows = f"{wrong.sum()} of {len(table)} rows"
            raise LabelError(path, f"has {n_rows} with {rule}: {examples}")
    of_train = table.loc[table["split"] == "Train", [*targets]]
    if blank := [repr(target) for target in of_train if of_train[target].isna().all()]:
        said = f"has no clip with split Train that is labelled for {', '.join(blank)}: label some, "
        raise LabelError(path, f"{said}or take them out of `targets` in params.yaml")
    return table


def person_of(table: pd.DataFrame) -> pd.Series:
    """Return who each clip shows; a clip without a group is a person of its own."""
    alone = "clip:" + table["clip_id"].astype("string")
    return table["group"].astype("string").fillna(alone)


def _check_columns(table: pd.DataFrame, path: Path, targets: Sequence[str]) -> None:
    columns = [str(column) for column in table.columns]
    missing = [name for name in ("clip_id", "split", *targets) if name not in columns]
    if missing:
        said = f"lacks the column(s) {missing}{nearest(missing[0], columns)}. Expected are "
        done = "clip_id, split and one column per entry of `targets` in params.yaml"
        raise LabelError(path, said + done)
    if reserved := [name for name in columns if name in MADE_BY_INDEX]:
        raise LabelError(path, f"has the column(s) {reserved}, which the index makes: rename them")


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
