"""The report as one self-contained HTML page."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, Template, select_autoescape
from markupsafe import Markup

from pipeline.leaderboard import SPLITS, STACK, leaderboard_text, notes
from pipeline.params import Params
from pipeline.report import data, tables
from pipeline.report.errors import error_table, mean_over_targets, sizes_of_errors
from pipeline.report.figures import draw
from pipeline.report.plots import NOTHING, durations
from pipeline.report.results import Results
from pipeline.report.thumbnails import thumbnails
from pipeline.settings_files import yaml_text
from pipeline.tables import laid_out, markdown

SPLIT_NAMES = {**SPLITS, "oof": "Train, out of fold"}
REFIT_NOTE = (
    "Predictions of Test come from heads refitted on Train and Val (final.refit_on); Val and "
    "out-of-fold scores from heads fitted on Train only."
)

_BY_TARGET = {"scatter": "labels and predictions", "calibration": "calibration"}
_MOST_CLIPS = 12
_MOST_SLICES = 200
_MOST_TARGETS = 3


def render_report(results: Results) -> str:
    """Render the report: HTML that needs no network and no other file."""
    params, rows = results.params, results.rows
    drawn = {name: _figure(results, name) for name in results.plots if name not in _BY_TARGET}
    return page_template("report.html").render(
        results=results,
        lead=results.scores.loc[STACK],
        split=SPLIT_NAMES[results.split],
        notes=run_notes(params),
        figures=defaultdict(str, drawn),  # without those that dvc.yaml has no more
        panels=list(_panels(results)),
        board=leaderboard_text(results.board),
        contributions=laid_out(results.contributions, tables.CONTRIBUTIONS),
        slices=laid_out(results.slices.head(_MOST_SLICES), tables.SLICES),
        has_groups=bool(tables.group_columns(results.slices)),
        curve=laid_out(results.curve, tables.CURVE),
        errors=stack_errors(results),
        worst=_worst(results),
        people=data.people_sentences(results.people),
        splits=data.split_table(rows, results.imputed),
        labels=data.label_table(rows, params.targets),
        clip_lists=data.clip_lists(rows.clips, results.imputed, results.failures),
        encoders=tables.encoder_text(results.record),
        versions=pd.DataFrame(results.record["versions"].items(), columns=["library", "version"]),
        files=pd.DataFrame(results.record["files"].items(), columns=["file", "SHA-256"]),
        parameters=yaml_text(params.model_dump(mode="json")),
    )


def stack_errors(results: Results) -> pd.DataFrame:
    """Lay out how the stack's predictions of each target are off."""
    rows, scored = results.rows, results.scored
    y, predicted, people = rows.y[scored], results.stack[scored], rows.people[scored]
    errors = error_table(y, predicted, people, results.params.targets)
    pearson = [results.scores[f"pearson_{target}"][STACK] for target in errors["target"]]
    return laid_out(errors.assign(pearson=pearson), tables.ERRORS)


def run_notes(params: Params) -> list[str]:
    """Return what has to be said wherever scores and predictions of Test are shown."""
    refit = [REFIT_NOTE] if params.final.refit_on == "train+val" else []
    return [*notes(params), *refit]


def page_template(name: str) -> Template:
    """Return a template of ``pipeline/report/templates``.

    HTML escapes what is put into it. Markdown has the filters ``markdown`` for
    tables of text, and ``line`` for names.
    """
    environment = Environment(
        loader=PackageLoader("pipeline.report"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"markdown": _markdown, "line": _on_one_line}
    environment.filters["signed"] = "{:+.3f}".format
    return environment.get_template(name)


def _markdown(table: pd.DataFrame) -> str:
    return markdown(table.astype(str).map(_on_one_line))


def _on_one_line(text: str) -> str:
    """Keep a text in its cell or line of Markdown, and from being read as HTML."""
    return " ".join(text.split()).replace("<", "&lt;")


def _figure(results: Results, name: str) -> Markup:
    """Draw a plot whole; empty where there is nothing to show."""
    plot, table = results.plots[name]
    if not len(table) or table.iloc[0, 0] == NOTHING:
        return Markup("")
    return draw(plot, table)


def _panels(results: Results) -> Iterator[tuple[str, list[Markup]]]:
    """Draw the plots that have a panel per target, target by target: so they fit any screen."""
    for target in results.params.targets:
        parts = {
            name: table[table["target"] == target]
            for name, (_, table) in results.plots.items()
            if name in _BY_TARGET
        }
        yield (
            target,
            [
                draw(results.plots[name][0], part, f"{target}: {_BY_TARGET[name]}")
                for name, part in parts.items()
                if len(part)
            ],
        )


def _worst(results: Results) -> list[dict[str, Any]]:
    """Describe the clips that the stack is furthest off on, the worst first, with pictures."""
    targets, rows, scored = results.params.targets, results.rows, results.scored
    clips = rows.clips[scored].reset_index(drop=True)
    y, predicted, people = rows.y[scored], results.stack[scored], rows.people[scored]
    sizes = sizes_of_errors(y, predicted)
    off = np.sqrt(mean_over_targets(sizes**2))
    n_known = int(np.isfinite(off).sum())
    worst = np.argsort(-off, kind="stable")[: min(n_known, _MOST_CLIPS)].tolist()  # NaN come last
    duration_s = np.nan_to_num(durations(clips))
    ids = clips["clip_id"].astype(str)
    paths = clips.get("path", pd.Series(index=clips.index, dtype=object))
    pictures = thumbnails(
        {
            ids[row]: (Path(paths[row]), duration_s[row])
            for row in worst
            if isinstance(paths[row], str)
        }
    )
    return [
        {
            "clip_id": ids[row],
            "person": people[row],
            "duration_s": duration_s[row],
            "size": off[row],
            "picture": pictures.get(ids[row]),
            "targets": "; ".join(
                f"{targets[k]} {y[row, k]:.2f}, predicted {predicted[row, k]:.2f}"
                for k in np.argsort(-np.nan_to_num(sizes[row]), kind="stable")[:_MOST_TARGETS]
                if np.isfinite(y[row, k])
            ),
        }
        for row in worst
    ]
