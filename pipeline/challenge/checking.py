"""A prediction file held against the clip table: all that would have it refused, and its score."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.metrics import (
    constant_columns,
    mean_pearson,
    official_mean_pearson,
    official_pearson,
    pearson,
)
from pipeline.challenge.faults import (
    Finding,
    as_number,
    column_faults,
    finding_of,
    id_faults,
    number_faults,
    width_faults,
)
from pipeline.challenge.submission import FILE_ID, file_ids
from pipeline.clip_table import HELD_SPLITS
from pipeline.params import ParamsError
from pipeline.paths import PREDICTIONS

SplitChoice = Literal["Test", "Val", "all"]

FAR_OUTSIDE = 0.5
"""Predictions that are farther than this from [0, 1] get a warning."""


@dataclass(frozen=True)
class Check:
    """What was found in a prediction file.

    Attributes
    ----------
    n_rows, n_expected : int
        Rows that the file has, and clips that it should have.
    faults, warnings : list of Finding
        With a fault the file would be refused.
    scores : dict
        By labelled split, where there is no fault: ``official_mean_pearson``, ``mean_pearson``,
        and ``official_pearson`` and ``pearson`` by target; an undefined score is None.
    """

    n_rows: int
    n_expected: int
    faults: list[Finding]
    warnings: list[Finding] = field(default_factory=list)
    scores: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def accepted(self) -> bool:
        """Whether there is no fault."""
        return not self.faults

    def as_json(self) -> dict[str, Any]:
        """Return all of it for `json.dumps`."""
        return {"accepted": self.accepted, **asdict(self)}


def check_submission(
    path: Path, clips: pd.DataFrame, targets: Sequence[str], split: SplitChoice = "all"
) -> Check:
    """Check a prediction file: columns, ids and numbers; and score it where there are labels.

    Parameters
    ----------
    path : Path
        CSV in UTF-8, with or without a byte order mark.
    clips : DataFrame
        The clip table.
    targets : sequence of str
        In the challenge's order.
    split : {"Test", "Val", "all"}
        Whose clips the file should have; ``all`` stands for both.

    Raises
    ------
    ParamsError
        When there is no such file, or the clip table has no clip of that split or lacks a target.
    OSError
        When the file cannot be read.
    """
    if not path.is_file():
        came = "is a folder" if path.is_dir() else "is not there"
        raise ParamsError(f"{path} {came}: expected a prediction file, CSV, such as {PREDICTIONS}")
    splits = HELD_SPLITS if split == "all" else (split,)
    expected = _expected(clips, targets, splits)
    try:
        header, lines = _read(path)
    except (UnicodeDecodeError, csv.Error) as error:
        fault = Finding(f"the file is no CSV in UTF-8: {error}", 1, ())
        return Check(0, len(expected), [fault])
    faults = [*column_faults(header, targets), *width_faults(header, lines)]
    if FILE_ID not in header or len(set(header)) < len(header):
        return Check(len(lines), len(expected), faults)  # no telling which cell is what
    cells = [dict(zip(header, line, strict=False)) for _, line in lines]
    ids = [row.get(FILE_ID, "") for row in cells]
    others = clips[~clips["split"].isin(splits)]
    faults += id_faults(
        ids, expected.index, dict(zip(file_ids(others), others["split"], strict=True))
    )
    present = [target for target in targets if target in header]
    values = np.array([[as_number(row.get(t, "")) for t in present] for row in cells], np.float64)
    faults += number_faults(cells, ids, present, values.reshape(len(cells), len(present)))
    check = Check(len(lines), len(expected), faults)
    if not faults:
        table = pd.DataFrame(values, ids, present).loc[expected.index]
        for name in splits:
            part = (expected["split"] == name).to_numpy(bool)
            predicted, y = table[part].to_numpy(), expected.loc[part, list(targets)].to_numpy(float)
            check.warnings.extend(_warnings(predicted, table.index[part], targets, name))
            if np.isfinite(y).any():
                check.scores[name.lower()] = _score(y, predicted, targets)
    return check


def check_text(check: Check, path: Path) -> str:
    """Say what was found, for a terminal."""
    lines = [f"{path}: {check.n_rows} rows, {check.n_expected} clips expected"]
    found = [("FAULT", each) for each in check.faults]
    found += [("warning", each) for each in check.warnings]
    for label, each in found:
        lines.append(f"{label}  {each.what} ({each.count})")
        lines += [f"    {example}" for example in each.examples]
        n_more = each.count - len(each.examples)
        lines += [f"    and {n_more} more"] if each.examples and n_more > 0 else []
    for split, score in check.scores.items():
        by_target = [
            (target, score["official_pearson"][target], ours)
            for target, ours in score["pearson"].items()
        ]
        rows = [("mean", score["official_mean_pearson"], score["mean_pearson"]), *by_target]
        table = pd.DataFrame(rows, columns=[f"{split} r", "official", "eri"])
        for column in ("official", "eri"):
            table[column] = [("NaN" if pd.isna(v) else f"{v:+.4f}") for v in table[column]]
        lines += ["", table.to_string(index=False)]
    verdict = "the format is as the challenge wants it" if check.accepted else "it would be refused"
    return "\n".join([*lines, "", verdict])


def _expected(clips: pd.DataFrame, targets: Sequence[str], splits: Sequence[str]) -> pd.DataFrame:
    """Return split and labels of the clips that the file should have, by the challenge's id."""
    lacking = [target for target in targets if target not in clips]
    if lacking:
        raise ParamsError(f"the clip table lacks the target(s) {lacking}: run `dvc repro`")
    expected = clips[clips["split"].isin(splits)]
    if expected.empty:
        raise ParamsError(f"the clip table has no clip of {' or '.join(splits)}: nothing to check")
    expected = expected.set_index(pd.Index(file_ids(expected).to_numpy(object)))
    if expected.index.has_duplicates:
        twice = expected.index[expected.index.duplicated()][0]
        raise ParamsError(f"`file_id` {twice!r} belongs to several clips: correct the label table")
    return expected[["split", *targets]]


def _read(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header, and the other lines that are not blank, with their numbers."""
    # Not pandas, which quietly mends what a stricter reader refuses.
    reader = csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""))
    header = next(reader, [])
    return header, [(reader.line_num, line) for line in reader if line]


def _warnings(
    predicted: NDArray[np.float64], ids: "pd.Index[str]", targets: Sequence[str], split: str
) -> Iterator[Finding]:
    # Test has no labels: by itself, a column is constant or not. One row tells nothing.
    constant = constant_columns(np.zeros_like(predicted), predicted)
    flat = [target for target, is_flat in zip(targets, constant, strict=True) if is_flat]
    if flat:
        yield finding_of(f"columns are constant on {split}: the official metric becomes NaN", flat)
    far = np.argwhere((predicted < -FAR_OUTSIDE) | (predicted > 1 + FAR_OUTSIDE))
    if len(far):
        shown = [f"{ids[row]} {targets[column]}: {predicted[row, column]:g}" for row, column in far]
        yield finding_of(f"values on {split} are far outside [0, 1]", shown)


def _score(
    y: NDArray[np.float64], predicted: NDArray[np.float64], targets: Sequence[str]
) -> dict[str, Any]:
    def by_target(values: NDArray[np.float64]) -> dict[str, float | None]:
        return dict(zip(targets, map(_defined, values), strict=True))

    return {
        "official_mean_pearson": _defined(official_mean_pearson(y, predicted)),
        "mean_pearson": _defined(mean_pearson(y, predicted)),
        "official_pearson": by_target(official_pearson(y, predicted)),
        "pearson": by_target(pearson(y, predicted)),
    }


def _defined(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None  # JSON has no NaN
