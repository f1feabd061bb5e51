"""The model card: what was fitted on what, how good it is for whom, and what it is not for.

After Mitchell et al., "Model Cards for Model Reporting" (2019), whose sections it has; the header
is that of the Hugging Face hub.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.leaderboard import STACK, leaderboard_text
from pipeline.report import data, tables
from pipeline.report.page import SPLIT_NAMES, page_template, run_notes, stack_errors
from pipeline.report.results import Results
from pipeline.settings_files import yaml_text
from pipeline.tables import laid_out

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
_HEADER = {
    "library_name": "eri",
    "pipeline_tag": "video-classification",
    "tags": ["emotional-reaction-intensity", "regression", "frozen-encoders"],
    "metrics": ["pearsonr"],
}


def render_model_card(results: Results) -> str:
    """Render the model card of a run as Markdown.

    Parameters
    ----------
    results : Results
        What the report is made of, too.
    """
    params = results.params
    record = results.record
    settings = params.model_dump(mode="json", exclude_unset=True)
    kinds = sorted({encoder["kind"] for encoder in record["encoders"].values()})
    overall = float(results.scores["mean_pearson"][STACK])
    worse = tables.worse_slices(results.slices, overall, results.split).head(_MOST_SLICES)
    worse_names = {key: tables.SLICES[key] for key in tables.SLICES if key not in ("split", "name")}
    return page_template("model_card.md").render(
        header=yaml_text(_HEADER),
        params=params,
        notes=run_notes(params),
        version=record["versions"].get("eri", ""),
        encoders=tables.encoder_text(record),
        licences={kind: LICENCES[kind] for kind in kinds if kind in LICENCES},
        uses_faces=any("yunet" in str(spec) for spec in settings["encoders"].values()),
        heads={name: _described(spec) for name, spec in settings["heads"].items()},
        split=SPLIT_NAMES[results.split],
        scores=leaderboard_text(results.board),
        errors=stack_errors(results),
        curve=results.curve,
        splits=data.split_table(results.rows, results.imputed),
        labels=data.label_table(results.rows, params.targets),
        warnings=results.warnings,
        people=data.people_sentences(results.people),
        slices=laid_out(worse, {**worse_names, "surely": ""}),
        has_slices=len(results.slices) > 0,
        has_groups=bool(tables.group_columns(results.slices)),
    )


def _described(head: Mapping[str, Any]) -> str:
    rest = ", ".join(f"{key} = {value}" for key, value in head.items() if key != "kind")
    return f"{head['kind']}, {rest or 'default settings'}"
