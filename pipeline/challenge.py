"""A prediction file for the challenge, checked before it is sent, and scored."""

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray

from pipeline.clip_ids import canonical_id
from pipeline.paths import PARAMS, PREDICTIONS
from pipeline.settings_files import ParamsError
from pipeline.submission import FILE_ID, file_ids, refuse_repeated
from pipeline.terminal import Json, ParamsFile

FAR_OUTSIDE = 0.5
"""Predictions that are farther than this from [0, 1] get a warning."""

_N_EXAMPLES = 3

Found = dict[str, list[str]]
"""What is wrong, and every place where it is."""


@dataclass(frozen=True)
class Fault:
    """What would have a file refused, or deserves a warning.

    Attributes
    ----------
    what : str
        What is wrong.
    count : int
        How often.
    examples : list of str
        The first ones, with what to write instead where that is clear.
    """

    what: str
    count: int
    examples: list[str]


@dataclass(frozen=True)
class Check:
    """What was found in a prediction file.

    Attributes
    ----------
    n_rows, n_expected : int
        Rows that the file has, and clips that it should have.
    faults, warnings : list of Fault
        With a fault the file would be refused.
    scores : dict
        By labelled split, where there is no fault: ``official_mean_pearson``, ``mean_pearson``,
        and ``official_pearson`` and ``pearson`` by target; an undefined score is None.
    """

    n_rows: int
    n_expected: int
    faults: list[Fault]
    warnings: list[Fault] = field(default_factory=list)
    scores: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def accepted(self) -> bool:
        """Whether there is no fault."""
        return not self.faults


def check_submission(
    path: Path,
    clips: pd.DataFrame,
    targets: Sequence[str],
    split: Literal["Test", "Val", "all"] = "all",
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
        When there is no such file, or the clip table has no clip of that split, lacks a target, or
        gives an id twice.
    OSError
        When the file cannot be read.
    """
    if not path.is_file():
        came = "is a folder" if path.is_dir() else "is not there"
        raise ParamsError(f"{path} {came}: expected a prediction file, CSV, such as {PREDICTIONS}")
    expected, others = _expected(clips, targets, ("Val", "Test") if split == "all" else (split,))
    try:
        # Not by pandas, which quietly mends what a stricter reader refuses.
        reader = csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""))
        header = next(reader, [])
        numbered = [(reader.line_num, line) for line in reader if line]
    except (UnicodeDecodeError, csv.Error) as error:
        return Check(0, len(expected), [Fault(f"the file is no CSV in UTF-8: {error}", 1, [])])
    found = _header_faults(header, targets)
    wide = [f"line {n}: {len(line)} cells" for n, line in numbered if len(line) != len(header)]
    found[f"lines have another number of cells than the header's {len(header)}"] = wide
    if FILE_ID not in header or len(set(header)) < len(header):
        return Check(len(numbered), len(expected), _faults(found))  # no telling which cell is what
    cells = pd.DataFrame([dict(zip(header, line, strict=False)) for _, line in numbered])
    cells = cells.reindex(columns=header).fillna("")
    ids, present = list(cells[FILE_ID]), [target for target in targets if target in header]
    found |= _name_faults("ids", ids, list(expected.index), others)
    values = cells[present].map(_as_number).to_numpy(np.float64).reshape(len(cells), len(present))
    found["cells are no finite numbers"] = [
        f"{ids[row]} {present[column]}: {cells[present[column]][row]!r}"
        for row, column in np.argwhere(~np.isfinite(values))
    ]
    check = Check(len(numbered), len(expected), _faults(found))
    if check.accepted:
        predicted = pd.DataFrame(values, ids, present).loc[expected.index]
        for name, labels in expected.groupby("split", sort=False):
            part = predicted.loc[labels.index]
            check.warnings.extend(_warnings(part, str(name)))
            y = labels[list(targets)].to_numpy(np.float64)
            if np.isfinite(y).any():
                check.scores[str(name).lower()] = _scores(y, part)
    return check


def check_submission_command(
    file: Annotated[Path, typer.Argument(help="The prediction file, CSV.")],
    split: Annotated[
        Literal["Test", "Val", "all"], typer.Option(help="Whose clips it should have.")
    ] = "all",
    params_file: ParamsFile = PARAMS,
    as_json: Json = False,
) -> None:
    """Check a prediction file against the clip table before it is handed in, and score it.

    Status 1 when it would be refused.

    Example: eri check-submission results/predictions.csv

    Example: eri check-submission predictions.csv --split Test
    """
    from pipeline.clip_table import read_clip_table
    from pipeline.params import load_params

    params = load_params(params_file, check_heads=False)
    check = check_submission(file, read_clip_table(), params.targets, split)
    content = {"accepted": check.accepted, **asdict(check)}
    print(json.dumps(content, indent=2) if as_json else check_text(check, file))
    if not check.accepted:
        raise typer.Exit(1)


def check_text(check: Check, path: Path) -> str:
    """Say what was found, for a terminal."""
    lines = [f"{path}: {check.n_rows} rows, {check.n_expected} clips expected"]
    for label, faults in (("FAULT", check.faults), ("warning", check.warnings)):
        for each in faults:
            lines += [f"{label}  {each.what} ({each.count})", *(f"    {e}" for e in each.examples)]
            if each.count > len(each.examples) > 0:
                lines.append(f"    and {each.count - len(each.examples)} more")
    for split, scores in check.scores.items():
        columns = {f"{split} r official": "official_", f"{split} r eri": ""}
        table = pd.DataFrame({name: scores[f"{kind}pearson"] for name, kind in columns.items()})
        table.loc["mean"] = [scores[f"{kind}mean_pearson"] for kind in columns.values()]
        lines += ["", table.to_string(float_format="{:+.4f}".format)]
    verdict = "the format is as the challenge wants it" if check.accepted else "it would be refused"
    return "\n".join([*lines, "", verdict])


def _expected(
    clips: pd.DataFrame, targets: Sequence[str], splits: Sequence[str]
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return split and labels of the clips expected, by their ids; and the splits of all others."""
    lacking = [target for target in targets if target not in clips]
    if lacking:
        raise ParamsError(f"the clip table lacks the target(s) {lacking}: run `dvc repro`")
    ids, is_expected = file_ids(clips), clips["split"].isin(splits)
    if not is_expected.any():
        raise ParamsError(f"the clip table has no clip of {' or '.join(splits)}: nothing to check")
    refuse_repeated(ids[is_expected])
    expected = clips.loc[is_expected, ["split", *targets]].set_index(pd.Index(ids[is_expected]))
    return expected, dict(zip(ids[~is_expected], clips["split"][~is_expected], strict=True))


def _header_faults(header: Sequence[str], targets: Sequence[str]) -> Found:
    wanted = [FILE_ID, *targets]
    if sorted(header) == sorted(wanted):
        in_order = list(header) == wanted
        found = {"columns are in another order": [] if in_order else [",".join(header)]}
    else:
        found = _name_faults("columns", header, wanted, {})
    return {f"{what}; expected {','.join(wanted)}": names for what, names in found.items()}


def _name_faults(
    what: str, came: Sequence[str], wanted: Sequence[str], others: Mapping[str, str]
) -> Found:
    """Hold names against those wanted; `others` gives the split of clips that are not."""
    forms = Counter(map(canonical_id, wanted))
    meant = {form: name for name in wanted if forms[form := canonical_id(name)] == 1}
    strange = [name for name in dict.fromkeys(came) if name not in set(wanted)]
    misspelt = {
        name: meant[form]
        for name in strange
        if name not in others and (form := canonical_id(name)) in meant
    }
    answered = {*came, *misspelt.values()}
    return {
        f"{what} are missing": [repr(name) for name in wanted if name not in answered],
        f"{what} are there several times": [
            f"{name!r}: {n} times" for name, n in Counter(came).items() if n > 1
        ],
        f"{what} are not written as the challenge does": [
            f"{name!r}: write {right!r}" for name, right in misspelt.items()
        ],
        f"{what} are of clips of another split (see --split)": [
            f"{name!r} is of {others[name]}" for name in strange if name in others
        ],
        f"{what} are unknown": [
            repr(name) for name in strange if name not in others and name not in misspelt
        ],
    }


def _as_number(text: str) -> float:
    """Read a number as a CSV reader does; NaN where it is none."""
    try:
        return float(text) if text.isascii() and "_" not in text else float("nan")
    except ValueError:
        return float("nan")


def _warnings(predicted: pd.DataFrame, split: str) -> list[Fault]:
    from models.metrics import constant_columns

    # Test has no labels: by itself, a column is constant or not. One row tells nothing.
    constant = constant_columns(np.zeros(predicted.shape), predicted)
    values = predicted.to_numpy()
    far = np.argwhere((values < -FAR_OUTSIDE) | (values > 1 + FAR_OUTSIDE))
    return _faults(
        {
            f"columns are constant on {split}: the official metric becomes NaN": [
                str(name) for name in predicted.columns[constant]
            ],
            f"values on {split} are far outside [0, 1]": [
                f"{predicted.index[row]} {predicted.columns[column]}: {values[row, column]:g}"
                for row, column in far
            ],
        }
    )


def _scores(y: NDArray[np.float64], predicted: pd.DataFrame) -> dict[str, Any]:
    from models import metrics

    def by_target(values: NDArray[np.float64]) -> dict[str, float | None]:
        return dict(zip(map(str, predicted), map(_defined, values), strict=True))

    return {
        "official_mean_pearson": _defined(metrics.official_mean_pearson(y, predicted)),
        "mean_pearson": _defined(metrics.mean_pearson(y, predicted)),
        "official_pearson": by_target(metrics.official_pearson(y, predicted)),
        "pearson": by_target(metrics.pearson(y, predicted)),
    }


def _defined(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None  # JSON has no NaN


def _faults(found: Found) -> list[Fault]:
    return [
        Fault(what, len(places), places[:_N_EXAMPLES]) for what, places in found.items() if places
    ]
