"""The report as one self-contained HTML page: the parts put together, and rendered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from models.metrics import pearson
from pipeline.clip_table import Rows
from pipeline.contributions import CONTRIBUTION_COLUMNS
from pipeline.params import Params
from pipeline.report import charts, data, diagnostics, leaderboard, run
from pipeline.report.charts import Mark
from pipeline.report.diagnostics import Estimate
from pipeline.report.pages import page_template
from pipeline.report.text import notes, official_where_other, refit_notes
from pipeline.report.thumbnails import thumbnails

_MOST_MARKS = 30
_MOST_CLIPS = 12
_MOST_SLICES = 200


@dataclass(frozen=True)
class Results:
    """What a report is made of; the parts with a default may be missing.

    Attributes
    ----------
    params : Params
        Of the run.
    rows : Rows
        The clips, their labels and people.
    table : DataFrame
        The leaderboard.
    stack : array of float64 [n_clips, n_targets] or None
        Predictions of the stack, in the order of `rows`.
    failures : mapping of str to DataFrame
        Failure table by encoder.
    imputed, slices, contributions, weights, curve : DataFrame
        What ``imputed.csv``, ``slices.csv``, ``contributions.csv``, ``stack_weights.csv`` and
        ``learning_curve.csv`` hold.
    warnings : sequence of str
        Of the stages `people` and `folds`.
    people : mapping
        What ``people.json`` holds.
    stores : mapping of str to mapping
        What the feature stores say of themselves.
    files : mapping of str to str
        Digests of the files that the run can be known by.
    """

    params: Params
    rows: Rows
    table: pd.DataFrame
    stack: NDArray[np.float64] | None = None
    failures: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    imputed: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=["split", "all_missing"])
    )
    slices: pd.DataFrame = field(default_factory=pd.DataFrame)
    contributions: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=CONTRIBUTION_COLUMNS)
    )
    weights: pd.DataFrame | None = None
    curve: pd.DataFrame = field(default_factory=pd.DataFrame)
    warnings: Sequence[str] = ()
    people: Mapping[str, Any] = field(default_factory=dict)
    stores: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


def render_report(results: Results) -> str:
    """Render the report: HTML that needs no network and no other file."""
    params, table = results.params, results.table
    splits = leaderboard.shown_splits(table)
    split = "val" if "val" in splits else "oof"
    return page_template("report.html").render(
        params=params,
        notes=notes(params) + refit_notes(params),
        split=split,
        split_names=leaderboard.SPLITS,
        **_scores(results, splits, split),
        **_errors(results, split),
        **_data(results),
    )


def _scores(results: Results, splits: list[str], split: str) -> dict[str, Any]:
    params, table = results.params, results.table
    official = official_where_other(table, split)
    marks = leaderboard.board_marks(table, split)
    axis = f"mean Pearson, {leaderboard.SPLITS[split]}"
    gains = leaderboard.encoder_gains(table, split, list(params.heads), params.feature_names)
    span = charts.span_of([mark for gain in gains for mark in gain.marks])
    slices = leaderboard.slice_marks(results.slices, split)
    stack = table[table["name"] == leaderboard.STACK]
    return {
        "splits": splits,
        "rows": table.assign(official=official).to_dict("records"),
        "has_official": bool((official != "").any()),
        "lead": (stack if len(stack) else table.head(1)).to_dict("records"),
        "board": charts.intervals("board", "The leaderboard", axis, marks[:_MOST_MARKS]),
        "n_marks": (len(marks[:_MOST_MARKS]), len(marks)),
        "by_target": leaderboard.by_target(table, split, params.targets),
        "gains": [
            (each, charts.intervals(f"gain-{k}", f"Views of {each.head}", axis, each.marks, span))
            for k, each in enumerate(gains)
        ],
        "contributions": _contributions(results.contributions, split),
        "contribution_rows": results.contributions.to_dict("records"),
        "weights": leaderboard.weight_maps(results.weights, params.targets),
        "slices": [
            (column, charts.intervals(f"slice-{k}", f"By {column}", axis, each[:_MOST_MARKS]))
            for k, (column, each) in enumerate(slices.items())
        ],
        "slice_rows": results.slices.head(_MOST_SLICES).to_dict("records"),
        "n_slices": len(results.slices),
        "has_groups": bool(leaderboard.group_columns(results.slices)),
        "curve": _curve(results.curve),
        "curve_rows": results.curve.to_dict("records"),
    }


def _contributions(contributions: pd.DataFrame, split: str) -> list[tuple[str, Markup]]:
    marks = leaderboard.contribution_marks(contributions)
    axis = f"gain in mean Pearson, {leaderboard.SPLITS[split]}"
    return [
        (kind, charts.intervals(f"adds-{kind}", f"What each {kind} adds", axis, each))
        for kind, each in marks.items()
    ]


def _curve(curve: pd.DataFrame) -> Markup | None:
    if curve.empty:
        return None
    title = f"Learning curve of {curve['name'].iloc[0]}"
    axes = ("people of Train fitted on", "mean Pearson on Val")
    return charts.curve("learning-curve", title, leaderboard.curve_marks(curve), axes)


def _errors(results: Results, split: str) -> dict[str, Any]:
    """Look at the stack's errors on the split that the leaderboard is sorted by."""
    shown: dict[str, Any] = {"targets": [], "by_person": [], "by_duration": [], "worst": []}
    if results.stack is None:
        return shown
    rows, targets = results.rows, results.params.targets
    chosen = (rows.clips["split"] == ("Val" if split == "val" else "Train")).to_numpy()
    clips = rows.clips[chosen].reset_index(drop=True)
    y, predictions, people = rows.y[chosen], results.stack[chosen], rows.people[chosen]
    for column, target in enumerate(targets):
        shown["targets"].append(
            _target(column, target, y[:, column], predictions[:, column], people)
        )
    error = diagnostics.mean_error(y, predictions)
    shown["by_person"] = _by_person(error, people)
    shown["by_duration"] = _by_duration(y, predictions, error, data.durations(clips), people)
    shown["worst"] = _worst(clips, y, predictions, people, targets)
    return shown


def _target(
    k: int,
    target: str,
    y: NDArray[np.float64],
    prediction: NDArray[np.float64],
    people: NDArray[np.object_],
) -> dict[str, Any]:
    known = np.isfinite(y) & np.isfinite(prediction)
    y, prediction, people = y[known], prediction[known], people[known]
    axes = ("prediction", "label")
    bands = diagnostics.calibration_bands(y, prediction, people) if len(y) else []
    marks = [(at, _mark("", estimate)) for at, estimate in bands]
    return {
        "name": target,
        "r": float(pearson(y[:, None], prediction[:, None])[0]),
        "errors": diagnostics.target_errors(y, prediction, people),
        "scatter": charts.scatter(
            f"scatter-{k}", f"{target}: labels and predictions", prediction, y, axes
        ),
        "calibration": charts.calibration(
            f"calibration-{k}", f"{target}: calibration", marks, ("mean prediction", "mean label")
        ),
    }


def _by_person(error: NDArray[np.float64], people: NDArray[np.object_]) -> list[Markup]:
    means, named = diagnostics.people_furthest_off(error, people, _MOST_CLIPS)
    if not named:
        return []
    axis = "label minus prediction"
    marks = [_mark(f"{who} · {each.n_clips} clips", each) for who, each in named]
    return [
        charts.histogram("people", "Mean error of each person", means, (axis, "people")),
        charts.intervals("furthest", "People whose errors lean the most", axis, marks),
    ]


def _by_duration(
    y: NDArray[np.float64],
    predictions: NDArray[np.float64],
    error: NDArray[np.float64],
    duration_s: NDArray[np.float64],
    people: NDArray[np.object_],
) -> list[Markup]:
    size = diagnostics.mean_error(np.abs(y - predictions), np.zeros_like(y))
    drawn = []
    for name, what, values in (("lean", "error", error), ("size", "size of the error", size)):
        bands = diagnostics.by_duration(values, duration_s, people)
        if bands:
            marks = [_mark(f"{label} · {each.n_clips} clips", each) for label, each in bands]
            title = f"Mean {what} by duration"
            axis = "mean of label minus prediction" if name == "lean" else f"mean {what}"
            drawn.append(charts.intervals(f"duration-{name}", title, axis, marks))
    return drawn


def _worst(
    clips: pd.DataFrame,
    y: NDArray[np.float64],
    predictions: NDArray[np.float64],
    people: NDArray[np.object_],
    targets: Sequence[str],
) -> list[dict[str, Any]]:
    worst = diagnostics.worst_clips(y, predictions, _MOST_CLIPS)
    duration_s = np.nan_to_num(data.durations(clips))
    ids = clips["clip_id"].astype(str).tolist()
    paths: list[Any] = clips["path"].tolist() if "path" in clips else [None] * len(clips)
    files = {
        ids[each.row]: (Path(paths[each.row]), float(duration_s[each.row]))
        for each in worst
        if isinstance(paths[each.row], str)
    }
    pictures = thumbnails(files)
    return [
        {
            "clip_id": ids[each.row],
            "person": people[each.row],
            "duration_s": float(duration_s[each.row]) or None,
            "size": each.size,
            "picture": pictures.get(ids[each.row]),
            "targets": [
                (targets[k], float(y[each.row, k]), float(predictions[each.row, k]))
                for k in each.targets[:3]
            ],
        }
        for each in worst
    ]


def _data(results: Results) -> dict[str, Any]:
    params, rows = results.params, results.rows
    return {
        "warnings": [*results.warnings, *data.data_warnings(rows, params.targets)],
        "people": data.describe_people(results.people),
        "summaries": data.summarize_splits(rows, results.imputed),
        "labels": data.summarize_labels(rows, params.targets),
        "imputed": data.list_imputed(results.imputed),
        "unusable": data.list_unusable(rows.clips),
        "failures": {name: data.list_failures(each) for name, each in results.failures.items()},
        "encoders": run.encoder_infos(params, results.stores),
        "versions": run.versions(results.stores),
        "parameters": run.parameters_text(params),
        "files": results.files,
    }


def _mark(label: str, estimate: Estimate) -> Mark:
    return Mark(label, estimate.mean, estimate.low, estimate.high)
