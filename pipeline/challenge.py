"""The challenge's prediction file: as a run writes it, and checked before it is handed in."""

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import typer
from numpy.typing import NDArray

from pipeline.clip_ids import canonical_id
from pipeline.clip_table import Rows, read_clip_table
from pipeline.params import load_params
from pipeline.paths import PARAMS, POOLED, PREDICTIONS
from pipeline.settings_files import ParamsError
from pipeline.terminal import Json, ParamsFile
from pipeline.views import JOIN

FILE_ID = "File_ID"
"""The challenge's id column."""

IMPUTED_COLUMNS = ["clip_id", FILE_ID, "split", "missing", "all_missing", "reasons"]

FAR_OUTSIDE = 0.5
"""Predictions that are farther than this from [0, 1] get a warning."""

_N_EXAMPLES = 3

Found = dict[str, list[str]]
"""What is wrong, and every place where it is, with what to write instead where that is clear."""


def file_ids(clips: pd.DataFrame) -> "pd.Series[str]":
    """Return each clip's id as the challenge writes it.

    Parameters
    ----------
    clips : DataFrame
        The clip table. Its column ``file_id`` holds those ids; where it is empty or not there, the
        challenge's id is the clip's.
    """
    ids = clips["clip_id"].astype(str)
    if "file_id" not in clips:
        return ids
    own = clips["file_id"].astype("string")
    return ids.where((own.isna() | (own == "")).to_numpy(bool), own.astype(object))


def submission_table(
    predictions: NDArray[np.float64], clips: pd.DataFrame, targets: Sequence[str]
) -> pd.DataFrame:
    """Lay predictions out in the challenge's format.

    Parameters
    ----------
    predictions : ndarray of float64, shape (n_clips, n_targets)
        In the order of `clips`.
    clips : DataFrame
        The clip table.
    targets : sequence of str
        In the challenge's order.

    Returns
    -------
    DataFrame
        ``File_ID``, then the targets; one row per clip of Val and Test.

    Raises
    ------
    ParamsError
        When two of these clips have the same ``file_id``.
    """
    is_held = (clips["split"] != "Train").to_numpy(bool)
    ids = _told_apart(file_ids(clips)[is_held])
    table = pd.DataFrame(predictions[is_held], columns=list(targets))
    table.insert(0, FILE_ID, ids.to_numpy(object))
    return table


def imputed_table(rows: Rows, failures: Mapping[str, Path], pooled: Path = POOLED) -> pd.DataFrame:
    """List the clips that lack the features of an encoder.

    Parameters
    ----------
    rows : Rows
        All clips.
    failures : mapping of str to Path
        By encoder or imported store, its failure table, which gives the reasons.
    pooled : Path
        The folder of the clip vectors that heads were fitted on.

    Returns
    -------
    DataFrame
        `IMPUTED_COLUMNS`, in the order of `rows`. ``missing`` joins encoders by ``+``;
        ``all_missing`` says that nothing was left to predict from, so that the prediction is that
        of a mean clip; ``reasons`` gives ``encoder: step: reason``, joined by semicolons.
    """
    reasons: dict[str, dict[str, str]] = {}
    for encoder in sorted(failures):  # as in views: nothing depends on the order of keys
        known = pq.read_table(pooled / f"{encoder}.parquet", columns=["clip_id"])
        said = {}
        if failures[encoder].is_file():  # not of features that came from elsewhere
            failed = pd.read_parquet(failures[encoder]).astype(str)
            said = dict(
                zip(failed["clip_id"], failed["step"] + ": " + failed["reason"], strict=True)
            )
        for clip_id in pd.Index(rows.clip_ids).difference(known["clip_id"].to_pylist()):
            reasons.setdefault(clip_id, {})[encoder] = said.get(clip_id, "no features")
    table = rows.clips[["clip_id", "split"]].assign(**{FILE_ID: file_ids(rows.clips)})
    table = table[table["clip_id"].isin(list(reasons))]
    found = [reasons[clip_id] for clip_id in table["clip_id"]]
    return table.assign(
        missing=[JOIN.join(each) for each in found],
        all_missing=[len(each) == len(failures) for each in found],
        reasons=["; ".join(f"{name}: {why}" for name, why in each.items()) for each in found],
    )[IMPUTED_COLUMNS]


@dataclass(frozen=True)
class Check:
    """What was found in a prediction file.

    Attributes
    ----------
    n_rows, n_expected : int
        Rows that the file has, and clips that it should have.
    faults, warnings : dict of str to list of str
        What is wrong, and where. With a fault the file would be refused.
    scores : dict
        By labelled split, where there is no fault: ``official_mean_pearson``, ``mean_pearson``,
        and ``official_pearson`` and ``pearson`` by target; an undefined score is None.
    """

    n_rows: int
    n_expected: int
    faults: Found
    warnings: Found = field(default_factory=dict)
    scores: dict[str, dict[str, Any]] = field(default_factory=dict)


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
        return Check(0, len(expected), {f"the file is no CSV in UTF-8: {error}": [str(path)]})
    found = _header_faults(header, targets)
    wide = [f"line {n}: {len(line)} cells" for n, line in numbered if len(line) != len(header)]
    found[f"lines have another number of cells than the header's {len(header)}"] = wide
    if FILE_ID not in header or len(set(header)) < len(header):  # no telling which cell is what
        return Check(len(numbered), len(expected), _faults(found))
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
    if not check.faults:
        predicted = pd.DataFrame(values, ids, present).loc[expected.index]
        for name, labels in expected.groupby("split", sort=False):
            part = predicted.loc[labels.index]
            check.warnings.update(_warnings(part, str(name)))
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
    params = load_params(params_file, check_heads=False)
    check = check_submission(file, read_clip_table(), params.targets, split)
    print(json.dumps(check_content(check), indent=2) if as_json else check_text(check, file))
    if check.faults:
        raise typer.Exit(1)


def check_content(check: Check) -> dict[str, Any]:
    """Return what was found for `json.dumps`: how often each fault is there, and the first ones."""

    def counted(found: Found) -> list[dict[str, Any]]:
        return [
            {"what": what, "count": len(places), "examples": places[:_N_EXAMPLES]}
            for what, places in found.items()
        ]

    faults, warnings = counted(check.faults), counted(check.warnings)
    return {"accepted": not faults, **vars(check), "faults": faults, "warnings": warnings}


def check_text(check: Check, path: Path) -> str:
    """Say what was found, for a terminal."""
    lines = [f"{path}: {check.n_rows} rows, {check.n_expected} clips expected"]
    for label, found in (("FAULT", check.faults), ("warning", check.warnings)):
        for what, places in found.items():
            lines += [f"{label}  {what} ({len(places)})"]
            lines += [f"    {place}" for place in places[:_N_EXAMPLES]]
            if len(places) > _N_EXAMPLES:
                lines.append(f"    and {len(places) - _N_EXAMPLES} more")
    for split, scores in check.scores.items():
        columns = {f"{split} r official": "official_", f"{split} r eri": ""}
        table = pd.DataFrame({name: scores[f"{kind}pearson"] for name, kind in columns.items()})
        table.loc["mean"] = [scores[f"{kind}mean_pearson"] for kind in columns.values()]
        numbers = table.astype(np.float64)
        lines += ["", numbers.to_string(float_format="{:+.4f}".format, na_rep="undefined")]
    verdict = "it would be refused" if check.faults else "the format is as the challenge wants it"
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
    own = _told_apart(ids[is_expected])
    expected = clips.loc[is_expected, ["split", *targets]].set_index(pd.Index(own))
    return expected, dict(zip(ids[~is_expected], clips["split"][~is_expected], strict=True))


def _told_apart(ids: "pd.Series[str]") -> "pd.Series[str]":
    """Return the challenge's ids of some clips, which must differ."""
    repeated = ids[ids.duplicated()].unique()
    if len(repeated):
        raise ParamsError(
            f"{len(repeated)} values of `file_id` belong to several clips, such as "
            f"{', '.join(map(repr, repeated[:3]))}: expected one of its own for each; correct the "
            "label table"
        )
    return ids


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
    foreign = [name for name in strange if name in others]
    misspelt = {
        name: meant[form]
        for name in strange
        if name not in others and (form := canonical_id(name)) in meant
    }
    answered = {*came, *misspelt.values()}
    said = {
        "are missing": [repr(name) for name in wanted if name not in answered],
        "are there several times": [f"{k!r}: {n} times" for k, n in Counter(came).items() if n > 1],
        "are not written as the challenge does": [
            f"{name!r}: write {right!r}" for name, right in misspelt.items()
        ],
        "are of clips of another split (see --split)": [
            f"{k!r} is of {others[k]}" for k in foreign
        ],
        "are unknown": [repr(k) for k in strange if k not in others and k not in misspelt],
    }
    return {f"{what} {how}": names for how, names in said.items()}


def _as_number(text: str) -> float:
    """Read a number as a CSV reader does; NaN where it is none."""
    try:
        return float(text) if text.isascii() and "_" not in text else float("nan")
    except ValueError:
        return float("nan")


def _warnings(predicted: pd.DataFrame, split: str) -> Found:
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


def _faults(found: Found) -> Found:
    return {what: places for what, places in found.items() if places}
