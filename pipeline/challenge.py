"""The challenge's prediction file: as a run writes it, and checked before it is handed in."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import typer
from numpy.typing import NDArray

from pipeline.clip_table import Rows, read_clip_table
from pipeline.findings import Findings
from pipeline.params import ParamsError, load_params
from pipeline.paths import POOLED, PREDICTIONS
from pipeline.terminal import Json, say
from pipeline.views import JOIN

FILE_ID = "File_ID"
"""The challenge's id column."""

IMPUTED_COLUMNS = ["clip_id", FILE_ID, "split", "missing", "all_missing", "reasons"]

FAR_OUTSIDE = 0.5
"""Predictions that are farther than this from [0, 1] get a warning."""

_NUMBER = r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*"


def file_ids(clips: pd.DataFrame) -> "pd.Series[str]":
    """Return each clip's id as the challenge writes it: ``file_id`` of the clip table, or its id.

    The latter where that column is empty or not there.
    """
    ids = clips["clip_id"].astype(str)
    own = clips.reindex(columns=["file_id"])["file_id"].astype("string").fillna("")
    return ids.where((own == "").to_numpy(bool), own.astype(object))


def submission_table(
    predictions: NDArray[np.float64], clips: pd.DataFrame, targets: Sequence[str]
) -> pd.DataFrame:
    """Lay predictions (n_clips, n_targets) out in the challenge's format.

    Returns
    -------
    DataFrame
        ``File_ID``, then the targets in the challenge's order; one row per clip of Val and Test.

    Raises
    ------
    ParamsError
        When two of these clips have the same ``file_id``.
    """
    is_held = (clips["split"] != "Train").to_numpy(bool)
    table = pd.DataFrame(predictions[is_held], columns=list(targets))
    table.insert(0, FILE_ID, _told_apart(file_ids(clips)[is_held]).to_numpy(object))
    return table


def imputed_table(rows: Rows, failures: Mapping[str, Path]) -> pd.DataFrame:
    """List the clips that lack the features of an encoder.

    Parameters
    ----------
    rows : Rows
        All clips.
    failures : mapping of str to Path
        By encoder or imported store, its failure table, which gives the reasons.

    Returns
    -------
    DataFrame
        `IMPUTED_COLUMNS`, in the order of `rows`. ``missing`` joins encoders by ``+``;
        ``all_missing`` says that nothing was left to predict from, so that the prediction is that
        of a mean clip; ``reasons`` gives ``encoder: step: reason``, joined by semicolons.
    """
    reasons: dict[str, dict[str, str]] = {clip_id: {} for clip_id in rows.clip_ids}
    for encoder, path in sorted(failures.items()):  # as in views: no order of keys matters
        known = pq.read_table(POOLED / f"{encoder}.parquet", columns=["clip_id"])["clip_id"]
        said = {}
        if path.is_file():  # not of features that came from elsewhere
            failed = pd.read_parquet(path).astype(str).set_index("clip_id")
            said = (failed["step"] + ": " + failed["reason"]).to_dict()
        for clip_id in set(reasons).difference(known.to_pylist()):
            reasons[clip_id][encoder] = said.get(clip_id, "no features")
    found = list(reasons.values())
    table = rows.clips[["clip_id", "split"]].assign(
        **{FILE_ID: file_ids(rows.clips)},
        missing=[JOIN.join(each) for each in found],
        all_missing=[len(each) == len(failures) for each in found],
        reasons=["; ".join(f"{name}: {why}" for name, why in each.items()) for each in found],
    )
    return table.loc[table["missing"] != "", IMPUTED_COLUMNS]


def check_submission(
    path: Path,
    clips: pd.DataFrame,
    targets: Sequence[str],
    split: Literal["Test", "Val", "all"] = "all",
) -> tuple[dict[str, Any], Findings]:
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

    Returns
    -------
    summary : dict
        For `json.dumps`: ``accepted``; ``n_rows`` of the file and ``n_expected``; ``scores`` by
        labelled split where it is accepted: ``official_mean_pearson``, ``mean_pearson``, and
        ``official_pearson`` and ``pearson`` by target. An undefined score is None.
    findings : Findings
        With an error among them the file would be refused.

    Raises
    ------
    ParamsError
        When there is no such file, or the clip table has no clip of that split, lacks a target, or
        gives an id twice.
    """
    if not path.is_file():
        came = "is a folder" if path.is_dir() else "is not there"
        raise ParamsError(f"{path} {came}: expected a prediction file, CSV, such as {PREDICTIONS}")
    if lacking := [target for target in targets if target not in clips]:
        raise ParamsError(f"the clip table lacks the target(s) {lacking}: run `dvc repro`")
    splits = ["Val", "Test"] if split == "all" else [split]
    is_expected = clips["split"].isin(splits)
    if not is_expected.any():
        raise ParamsError(f"the clip table has no clip of {' or '.join(splits)}: nothing to check")
    ids, findings = file_ids(clips), Findings()
    expected = clips[is_expected].set_index(pd.Index(_told_apart(ids[is_expected])))
    others = dict(zip(ids[~is_expected], clips["split"][~is_expected], strict=True))
    header, lines = _read(path, findings)
    if not findings.have_errors:
        values = _check_cells(header, lines, expected.index, others, targets, findings)
    scores: dict[str, Any] = {}
    accepted = not findings.have_errors
    for name, labels in expected.groupby("split", sort=False) if accepted else ():
        y, predicted = labels[list(targets)].to_numpy(np.float64), values.loc[labels.index]
        _warn(predicted, str(name), findings)
        if np.isfinite(y).any():
            scores[str(name).lower()] = _scores(y, predicted)
    numbers = {"n_rows": len(lines), "n_expected": len(expected), "scores": scores}
    return {"accepted": accepted, **numbers}, findings


def check_submission_command(
    file: Annotated[Path, typer.Argument(help="The prediction file, CSV.")],
    split: Annotated[
        Literal["Test", "Val", "all"], typer.Option(help="Whose clips it should have.")
    ] = "all",
    as_json: Json = False,
) -> None:
    """Check a prediction file, and score it.

    It is held against the clip table. Status 1 when it would be refused.

    Example: eri check-submission results/predictions.csv

    Example: eri check-submission predictions.csv --split Test
    """
    params = load_params(check_heads=False)
    summary, findings = check_submission(file, read_clip_table(), params.targets, split)
    lines = [f"{file}: {summary['n_rows']} rows, {summary['n_expected']} clips expected"]
    lines += map(str, findings.all)
    for name, scores in summary["scores"].items():
        columns = {f"{name} r official": "official_", f"{name} r eri": ""}
        table = pd.DataFrame({key: scores[f"{kind}pearson"] for key, kind in columns.items()})
        table.loc["mean"] = [scores[f"{kind}mean_pearson"] for kind in columns.values()]
        numbers = table.astype(np.float64)
        lines += ["", numbers.to_string(float_format="{:+.4f}".format, na_rep="undefined")]
    right = "the format is as the challenge wants it"
    lines += ["", right if summary["accepted"] else "it would be refused"]
    say(as_json, summary | {"findings": findings.content()}, lines)
    if not summary["accepted"]:
        raise typer.Exit(1)


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


def _read(path: Path, findings: Findings) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Read the header, and the lines with their numbers; not by pandas, which mends what is odd."""
    try:
        reader = csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""))
        return next(reader, []), [(reader.line_num, line) for line in reader if line]
    except (UnicodeDecodeError, csv.Error) as error:
        findings.add("the file is no CSV in UTF-8", "error", [path], str(error))
        return [], []


def _check_cells(
    header: list[str],
    lines: list[tuple[int, list[str]]],
    ids: "pd.Index[str]",
    others: Mapping[str, str],
    targets: Sequence[str],
    findings: Findings,
) -> pd.DataFrame:
    """Check columns, ids and numbers; return the numbers by id, to be used where all is well.

    `others` gives the split of the clips that are not expected.
    """
    wanted = [FILE_ID, *targets]
    if header != wanted:  # no telling which cell is what
        done = f"expected {','.join(wanted)}"
        findings.add("columns are others, or in another order", "error", [",".join(header)], done)
        return pd.DataFrame()
    wide = [f"line {n}: {len(line)} cells" for n, line in lines if len(line) != len(header)]
    done = f"expected {len(header)}, as the header has"
    findings.add("lines have another number of cells", "error", wide, done)
    cells = pd.DataFrame([dict(zip(header, line, strict=False)) for _, line in lines])
    cells = cells.reindex(columns=header).fillna("").astype(str).set_index(FILE_ID)
    counts, known = Counter(cells.index), {*ids, *others}
    found = {
        "are missing": [repr(name) for name in ids if name not in counts],
        "are there several times": [f"{k!r}: {n} times" for k, n in counts.items() if n > 1],
        "are of clips of another split": [
            f"{name!r} is of {others[name]}" for name in counts if name in others
        ],
        "are unknown": [repr(name) for name in counts if name not in known],
    }
    for how, names in found.items():
        done = "expected each clip once, as the challenge writes it; see --split"
        findings.add(f"ids {how}", "error", names, done)
    is_number = cells.apply(lambda each: each.str.fullmatch(_NUMBER))
    values = cells.where(is_number, "nan").astype(np.float64)
    wrong = _places(cells, ~np.isfinite(values.to_numpy()), "{!r}")
    findings.add("cells are no finite numbers", "error", wrong, "expected such as 0.5 or 1e-3")
    return values


def _warn(predicted: pd.DataFrame, split: str, findings: Findings) -> None:
    """Look for numbers that are allowed, and hardly meant."""
    from models.metrics import constant_columns

    # Test has no labels: by itself, a column is constant or not. One row tells nothing.
    constant = predicted.columns[constant_columns(np.zeros(predicted.shape), predicted)]
    done = "the official metric becomes NaN"
    findings.add(f"columns are constant on {split}", "warning", constant, done)
    far = (predicted < -FAR_OUTSIDE) | (predicted > 1 + FAR_OUTSIDE)
    places = _places(predicted, far.to_numpy(), "{:g}")
    done = "labels lie between 0 and 1"
    findings.add(f"values on {split} are far outside [0, 1]", "warning", places, done)


def _places(table: pd.DataFrame, chosen: NDArray[np.bool_], form: str) -> list[str]:
    """Name the chosen cells of a table, and what they hold."""
    return [
        f"{table.index[row]} {table.columns[column]}: {form.format(table.iloc[row, column])}"
        for row, column in np.argwhere(chosen)
    ]


def _scores(y: NDArray[np.float64], predicted: pd.DataFrame) -> dict[str, Any]:
    from models import metrics

    scores: dict[str, Any] = {}
    for name in ("official_mean_pearson", "mean_pearson", "official_pearson", "pearson"):
        values = np.ravel(getattr(metrics, name)(y, predicted))
        defined = [float(each) if np.isfinite(each) else None for each in values]  # JSON's null
        scores[name] = defined[0] if "mean" in name else dict(zip(predicted, defined, strict=True))
    return scores
