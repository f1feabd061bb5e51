"""The model card: what was fitted on what, how good it is for whom, and what it is not for.

After Mitchell et al., "Model Cards for Model Reporting" (2019), whose sections it has; the header
is that of the Hugging Face hub.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import yaml

from pipeline.report import data, leaderboard, run
from pipeline.report.html import Results
from pipeline.report.pages import page_template
from pipeline.report.text import notes, refit_notes

LICENCES = {
    "open_clip": "code MIT; each pretrained tag has a licence and training data of its own",
    "torchvision": "code BSD-3-Clause; pretrained weights are of ImageNet, which is for research",
    "timm": "code Apache-2.0; each set of weights has a licence of its own",
    "opensmile": "openSMILE's own licence: research and education only, no commercial use",
    "onnx": "that of the file, which does not say",
    "imported": "that of whoever made the features",
}
"""By kind of encoder, as far as it can be said without looking at the weights."""

_MOST_SLICES = 12


def render_model_card(results: Results) -> str:
    """Render the model card of a run as Markdown.

    Parameters
    ----------
    results : Results
        What the report is made of.
    """
    params, table = results.params, results.table
    splits = leaderboard.shown_splits(table)
    split = "val" if "val" in splits else "oof"
    encoders = run.encoder_infos(params, results.stores)
    return page_template("model_card.md").render(
        header=_header(results, split),
        params=params,
        notes=notes(params) + refit_notes(params),
        encoders=encoders,
        licences={
            kind: LICENCES[kind] for kind in sorted({e.kind for e in encoders} & {*LICENCES})
        },
        uses_faces=any(spec.get("face", "none") != "none" for spec in params.encoders.values()),
        heads={name: _settings(spec) for name, spec in params.heads.items()},
        splits=splits,
        split=split,
        split_names=leaderboard.SPLITS,
        rows=_main_rows(table),
        targets=_by_target(table, split, params.targets),
        summaries=data.summarize_splits(results.rows, results.imputed),
        labels=data.summarize_labels(results.rows, params.targets),
        warnings=[*results.warnings, *data.data_warnings(results.rows, params.targets)],
        people=data.describe_people(results.people),
        slices=_worse_slices(results.slices, table, split),
        has_slices=not results.slices.empty,
        has_groups=bool(leaderboard.group_columns(results.slices)),
        curve=results.curve.to_dict("records"),
        versions=run.versions(results.stores),
    )


def _header(results: Results, split: str) -> str:
    """Return the metadata that the Hugging Face hub reads."""
    stack = results.table[results.table["name"] == leaderboard.STACK].head(1)
    scores = [
        {"type": "pearsonr", "name": "mean Pearson", "value": float(value)}
        for value in stack[f"{split}_mean_pearson"].dropna()
    ]
    content: dict[str, Any] = {
        "library_name": "eri",
        "pipeline_tag": "video-classification",
        "tags": ["emotional-reaction-intensity", "regression", "frozen-encoders"],
        "metrics": ["pearsonr"],
    }
    if scores:
        task = {"type": "regression", "name": "Emotional reaction intensity"}
        made_from = {"type": "own", "name": results.params.data.labels.name, "split": split}
        result = {"task": task, "dataset": made_from, "metrics": scores}
        content["model-index"] = [{"name": "eri stack", "results": [result]}]
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _settings(spec: Mapping[str, Any]) -> str:
    rest = ", ".join(f"{key} = {value}" for key, value in spec.items() if key != "kind")
    return f"{spec.get('kind')}, {rest or 'default settings'}"


def _main_rows(table: pd.DataFrame) -> list[dict[Any, Any]]:
    """Return the stack, the best single row and the baselines: the rest is in the leaderboard."""
    names = table["name"].astype(str)
    is_baseline = names.str.startswith(leaderboard.BASELINE)
    is_stack = names == leaderboard.STACK
    best = table[~is_baseline & ~is_stack].head(1)
    return pd.concat([table[is_stack], best, table[is_baseline]]).to_dict("records")


def _by_target(
    table: pd.DataFrame, split: str, targets: tuple[str, ...]
) -> list[tuple[str, float, str, float]]:
    """Return per target the stack's Pearson, and the best row with its own."""
    stack = table[table["name"] == leaderboard.STACK].head(1)
    found = []
    for target in targets:
        scores = table.set_index("name")[f"{split}_pearson_{target}"].astype(float)
        own = float(stack[f"{split}_pearson_{target}"].iloc[0]) if len(stack) else np.nan
        best = str(scores.idxmax()) if scores.notna().any() else "none"
        found.append((target, own, best, float(scores.max())))
    return found


def _worse_slices(slices: pd.DataFrame, table: pd.DataFrame, split: str) -> list[dict[Any, Any]]:
    """Return the slices in which the stack scores below its overall score, the worst first."""
    stack = table[table["name"] == leaderboard.STACK]
    if slices.empty or stack.empty:
        return []
    overall = float(stack[f"{split}_mean_pearson"].iloc[0])
    own = slices[(slices["split"] == split) & (slices["name"] == leaderboard.STACK)]
    worse = own[own["mean_pearson"] < overall].sort_values("mean_pearson")
    sure = worse["ci95_high"] < overall
    return worse.assign(sure=sure).head(_MOST_SLICES).to_dict("records")
