"""The report as one self-contained HTML page."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, Template, select_autoescape
from markupsafe import Markup

from pipeline.leaderboard import SPLITS, STACK, leaderboard_text, notes
from pipeline.report import data
from pipeline.report.figures import draw
from pipeline.report.plots import (
    NOTHING,
    durations,
    error_table,
    mean_over_targets,
    sizes_of_errors,
)
from pipeline.report.results import Results
from pipeline.report.thumbnails import thumbnails
from pipeline.settings_files import yaml_text
from pipeline.tables import laid_out, markdown, records, score_text

SPLIT_NAMES = {**SPLITS, "oof": "Train, out of fold"}
REFIT_NOTE = (
    "Predictions of Test come from heads refitted on Train and Val (final.refit_on); Val and "
    "out-of-fold scores from heads fitted on Train only."
)

# What readers call the columns of the tables of a run. The low end of an interval stands for both.
CONTRIBUTIONS = {
    **{"kind": "kind", "part": "part", "encoders": "encoders"},
    **{"alone": "alone", "alone_ci95_low": "alone 95 % CI"},
    **{"gain": "adds", "ci95_low": "adds 95 % CI", "p_better": "P > 0"},
}
SLICES = {
    **{"column": "column", "slice": "slice", "split": "split", "name": "head/view"},
    **{"n_rows": "clips", "n_people": "people"},
    **{"mean_pearson": "mean Pearson", "ci95_low": "95 % CI"},
}
CURVE = {
    **{"n_people": "people", "n_rows": "clips", "n_fits": "fits"},
    **{"mean_pearson": "mean Pearson", "ci95_low": "95 % CI"},
    **{"lowest": "lowest draw", "highest": "highest draw"},
}
ERRORS = {
    **{"target": "target", "n_clips": "clips", "pearson": "Pearson"},
    **{"bias": "label minus prediction", "ci95_low": "95 % CI", "mean_absolute": "mean size"},
    **{"label_sd": "SD of labels", "prediction_sd": "SD of predictions"},
}

_BY_TARGET = {"scatter": "labels and predictions", "calibration": "calibration"}
_MOST_CLIPS = 12
_MOST_SLICES = 200
_MOST_TARGETS = 3


def render_report(results: Results) -> str:
    """Render the report: HTML that needs no network and no other file."""
    drawn = {name: _figure(results, name) for name in results.plots if name not in _BY_TARGET}
    return page_template("report.html").render(
        **shared_content(results),
        results=results,
        lead=results.scores.loc[STACK],
        figures=defaultdict(str, drawn),  # without those that dvc.yaml has no more
        panels=list(_panels(results)),
        contributions=laid_out(results.contributions, CONTRIBUTIONS),
        slices=laid_out(results.slices.head(_MOST_SLICES), SLICES),
        curve=laid_out(results.curve, CURVE),
        worst=_worst(results),
        clip_lists=data.clip_lists(results.rows.clips, results.imputed, results.failures),
        versions=pd.DataFrame(results.record["versions"].items(), columns=["library", "version"]),
        files=pd.DataFrame(results.record["files"].items(), columns=["file", "SHA-256"]),
        parameters=yaml_text(results.params.model_dump(mode="json")),
    )


def shared_content(results: Results) -> dict[str, Any]:
    """Return what report and model card both say, by its name in their templates."""
    rows, targets = results.rows, results.params.targets
    columns = results.slices["column"].unique()
    return {
        "notes": run_notes(results),
        "split": SPLIT_NAMES[results.split],
        "board": leaderboard_text(results.board),
        "errors": stack_errors(results),
        # Slices by duration say nothing of people.
        "has_groups": any(name != "duration_s" for name in columns),
        "people": data.people_sentences(results.people),
        "splits": data.split_table(rows, results.imputed),
        "labels": data.label_table(rows, targets),
        "encoders": encoder_text(results.record),
    }


def stack_errors(results: Results) -> pd.DataFrame:
    """Lay out how the stack's predictions of each target are off."""
    rows, scored = results.rows, results.scored
    y, predicted, people = rows.y[scored], results.stack[scored], rows.people[scored]
    errors = error_table(y, predicted, people, results.params.targets)
    pearson = [results.scores[f"pearson_{target}"][STACK] for target in errors["target"]]
    return laid_out(errors.assign(pearson=pearson), ERRORS)


def encoder_text(record: Mapping[str, Any]) -> pd.DataFrame:
    """Lay out the encoders of a run, from `pipeline.report.results.run_record`."""
    table = pd.DataFrame.from_dict(record["encoders"], orient="index").rename_axis("encoder")
    table["weights_digest"] = table["weights_digest"].str[:16]
    names = {"weights_digest": "digest of the weights", "identity": "identity of its embeddings"}
    return table.rename(columns=names).reset_index()


def run_notes(results: Results) -> list[str]:
    """Return what has to be said wherever scores and predictions of Test are shown."""
    refit = [REFIT_NOTE] if results.params.final.refit_on == "train+val" else []
    return [*notes(results.params, results.scores["mean_pearson"]), *refit]


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
    environment.filters["markdown"] = lambda table: markdown(table.astype(str).map(_on_one_line))
    environment.filters["line"] = _on_one_line
    environment.filters["signed"] = score_text
    return environment.get_template(name)


def _on_one_line(text: str) -> str:
    """Keep a text in its cell or line of Markdown, and from being read as HTML."""
    return " ".join(text.split()).replace("<", "&lt;")


def _figure(results: Results, name: str) -> Markup:
    """Draw a plot whole; empty where there is nothing to show."""
    plot, table = results.plots[name]
    if not len(table) or table.iloc[0, 0] == NOTHING:
        return Markup("")
    return draw(plot, table)


def _panels(results: Results) -> Iterator[Markup]:
    """Draw the plots that have a panel per target, target by target: so they fit any screen."""
    for target in results.params.targets:
        for name, what in _BY_TARGET.items():
            plot, table = results.plots.get(name, (None, pd.DataFrame(columns=["target"])))
            part = table[table["target"] == target]
            if plot is not None and len(part):
                yield draw(plot, part, f"{target}: {what}")


def _worst(results: Results) -> list[dict[str, Any]]:
    """Describe the clips that the stack is furthest off on, the worst first, with pictures."""
    targets, rows, scored = results.params.targets, results.rows, results.scored
    y, predicted = rows.y[scored], results.stack[scored]
    sizes = sizes_of_errors(y, predicted)
    clips = rows.clips[scored].reindex(columns=["clip_id", "path"]).reset_index(drop=True)
    clips["person"], clips["size"] = rows.people[scored], np.sqrt(mean_over_targets(sizes**2))
    clips["duration_s"] = np.nan_to_num(durations(rows.clips[scored]))
    worst = clips.dropna(subset="size").sort_values("size", ascending=False, kind="stable")
    worst = worst[:_MOST_CLIPS].astype({"clip_id": str})
    there = worst.dropna(subset="path")
    places = zip(map(Path, there["path"]), there["duration_s"], strict=True)
    pictures = thumbnails(dict(zip(there["clip_id"], places, strict=True)))
    worst["picture"] = [pictures.get(clip_id) for clip_id in worst["clip_id"]]
    worst["targets"] = [
        "; ".join(
            f"{targets[k]} {y[row, k]:.2f}, predicted {predicted[row, k]:.2f}"
            for k in np.argsort(-np.nan_to_num(sizes[row]), kind="stable")[:_MOST_TARGETS]
            if np.isfinite(y[row, k])
        )
        for row in worst.index
    ]
    return records(worst)
