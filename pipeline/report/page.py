"""The report, one self-contained HTML page, and the model card, both of the results of a run.

The card says what was fitted on what, how good it is for whom, and what it is not for. It has the
sections of Mitchell et al., "Model Cards for Model Reporting" (2019), and the header of the Hugging
Face hub.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, Template, select_autoescape
from markupsafe import Markup

from pipeline.leaderboard import SPLITS, STACK, leaderboard_text, notes
from pipeline.report import data
from pipeline.report.plots import NOTHING, draw, error_table
from pipeline.report.results import Results
from pipeline.settings_files import yaml_text
from pipeline.tables import laid_out, markdown, score_text

SPLIT_NAMES = {**SPLITS, "oof": "Train, out of fold"}

LICENCES = {
    "open_clip": "code MIT; each pretrained tag has a licence and training data of its own",
    "torchvision": "code BSD-3-Clause; pretrained weights are of ImageNet, which is for research",
    "timm": "code Apache-2.0; each set of weights has a licence of its own",
    "opensmile": "openSMILE's own licence: research and education only, no commercial use",
    "transformers": "code Apache-2.0; each model has a licence of its own (Whisper tiny.en: MIT)",
    "whisper": "code Apache-2.0, the published weights MIT or Apache-2.0",
    "expression": "votes MIT, but the pictures of FER2013 that it learned from are for research",
    "onnx": "that of the file, which does not say",
    "imported": "that of whoever made the features",
}
"""By kind of encoder, as far as it can be said without looking at the weights."""

_BY_TARGET = {"scatter": "labels and predictions", "calibration": "calibration"}
_MOST_CLIPS = 12
_MOST_SLICES = {"report": 200, "card": 12}
_MOST_TARGETS = 3
_HEADER = {
    "library_name": "eri",
    "pipeline_tag": "video-classification",
    "tags": ["emotional-reaction-intensity", "regression", "frozen-encoders"],
    "metrics": ["pearsonr"],
}


def render_report(results: Results) -> str:
    """Render the report: HTML that needs no network and no other file."""
    drawn = {
        name: draw(plot, table)
        for name, (plot, table) in results.plots.items()
        if name not in _BY_TARGET and len(table) and table.iloc[0, 0] != NOTHING
    }
    return _template("report.html").render(
        **_shared(results),
        results=results,
        lead=results.scores.loc[STACK],
        figures=defaultdict(str, drawn),  # nothing to show, or no plot of dvc.yaml any more
        panels=list(_panels(results)),
        contributions=laid_out(results.contributions),
        slices=laid_out(results.slices.head(_MOST_SLICES["report"])),
        curve=laid_out(results.curve.drop(columns="name")),
        worst=_worst(results),
        clip_lists=data.clip_lists(results.rows.clips, results.imputed, results.failures),
        versions=pd.DataFrame(results.record["versions"].items(), columns=["library", "version"]),
        files=pd.DataFrame(results.record["files"].items(), columns=["file", "SHA-256"]),
        parameters=yaml_text(results.params.model_dump(mode="json")),
    )


def render_model_card(results: Results) -> str:
    """Render the model card as Markdown."""
    params, record, slices = results.params, results.record, results.slices
    kinds = {encoder["kind"] for encoder in record["encoders"].values()}
    overall = float(results.scores["mean_pearson"][STACK])
    own = slices[(slices["split"] == results.split) & (slices["name"] == STACK)]
    worse = own[own["mean_pearson"] < overall].sort_values("mean_pearson")
    worse = worse.head(_MOST_SLICES["card"])
    worse["surely"] = np.where(worse["ci95_high"] < overall, "surely", "")
    faces = [getattr(encoder, "face", "none") for encoder in params.encoders.values()]
    return _template("model_card.md").render(
        **_shared(results),
        params=params,
        header=yaml_text(_HEADER),
        version=record["versions"].get("eri", ""),
        licences={kind: said for kind, said in sorted(LICENCES.items()) if kind in kinds},
        uses_faces=any(face != "none" for face in faces),
        heads={name: _described(head.model_dump()) for name, head in params.heads.items()},
        curve=results.curve,
        warnings=results.warnings,
        slices=laid_out(worse.drop(columns=["split", "name"])),
        overall=overall,
        has_slices=len(slices) > 0,
    )


def run_notes(results: Results) -> list[str]:
    """Return what has to be said wherever scores and predictions of Test are shown."""
    said = notes(results.params, results.scores["mean_pearson"])
    if results.params.final.refit_on == "train+val":
        said.append(
            "Predictions of Test come from heads refitted on Train and Val (final.refit_on); Val "
            "and out-of-fold scores from heads fitted on Train only."
        )
    return said


def _shared(results: Results) -> dict[str, Any]:
    """Return what report and model card both say, by its name in their templates."""
    rows, targets, scored = results.rows, results.params.targets, results.scored
    columns = results.slices["column"].unique()
    errors = error_table(rows.y[scored], results.stack[scored], rows.people[scored], targets)
    of_stack = results.scores.loc[STACK]
    errors.insert(2, "pearson", [of_stack[f"pearson_{target}"] for target in targets])
    encoders = pd.DataFrame.from_dict(results.record["encoders"], orient="index")
    encoders["weights_digest"] = encoders["weights_digest"].str[:16]
    return {
        "notes": run_notes(results),
        "split": SPLIT_NAMES[results.split],
        "board": leaderboard_text(results.board),
        "errors": laid_out(errors),
        # Slices by duration say nothing of people.
        "has_groups": any(name != "duration_s" for name in columns),
        "people": data.people_sentences(results.people),
        "splits": data.split_table(rows, results.imputed),
        "labels": data.label_table(rows, targets),
        "encoders": laid_out(encoders.rename_axis("encoder").reset_index()),
    }


def _template(name: str) -> Template:
    """Return a template of ``pipeline/report/templates``; HTML escapes what is put into it."""
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


def _described(head: Mapping[str, Any]) -> str:
    rest = ", ".join(f"{key} = {value}" for key, value in head.items() if key != "kind")
    return f"{head['kind']}, {rest or 'default settings'}"


def _on_one_line(text: str) -> str:
    """Keep a text in its cell or line of Markdown, and from being read as HTML."""
    return " ".join(text.split()).replace("<", "&lt;")


def _panels(results: Results) -> Iterator[Markup]:
    """Draw the plots that have a panel per target, target by target: so they fit any screen."""
    for target in results.params.targets:
        for name in (each for each in _BY_TARGET if each in results.plots):
            plot, table = results.plots[name]
            if len(part := table[table["target"] == target]):
                yield draw(plot, part, f"{target}: {_BY_TARGET[name]}")


def _worst(results: Results) -> pd.DataFrame:
    """Describe the clips that the stack is furthest off on, the worst first.

    Errors are in standard deviations of their target's: what is hard to predict anyway counts no
    more than the rest.
    """
    targets, rows, scored = results.params.targets, results.rows, results.scored
    y, predicted = rows.y[scored], results.stack[scored]
    squares = pd.DataFrame((y - predicted) ** 2)
    squares /= squares.mean().where(squares.mean() > 0, 1.0)
    size = np.sqrt(squares.mean(axis=1)).dropna()
    worst = size.sort_values(ascending=False, kind="stable")[:_MOST_CLIPS]
    said = [
        "; ".join(
            f"{targets[k]} {y[row, k]:.2f}, predicted {predicted[row, k]:.2f}"
            for k in squares.loc[row].dropna().nlargest(_MOST_TARGETS).index
        )
        for row in worst.index
    ]
    clips = rows.clips[scored].iloc[worst.index]
    columns = {"clip": clips["clip_id"].astype(str), "person": rows.people[scored][worst.index]}
    return pd.DataFrame(columns | {"error": [f"{each:.2f}" for each in worst], "most of it": said})
