"""The model card: what was fitted on what, how good it is for whom, and what it is not for.

After Mitchell et al., "Model Cards for Model Reporting" (2019), whose sections it has; the header
is that of the Hugging Face hub.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.leaderboard import STACK
from pipeline.report.page import page_template, shared_content
from pipeline.report.results import Results
from pipeline.settings_files import yaml_text
from pipeline.tables import laid_out

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

_MOST_SLICES = 12
_HEADER = {
    "library_name": "eri",
    "pipeline_tag": "video-classification",
    "tags": ["emotional-reaction-intensity", "regression", "frozen-encoders"],
    "metrics": ["pearsonr"],
}


def render_model_card(results: Results) -> str:
    """Render the model card of a run, from what the report is made of too, as Markdown."""
    record, slices = results.record, results.slices
    settings = results.params.model_dump(mode="json", exclude_unset=True)
    kinds = sorted({encoder["kind"] for encoder in record["encoders"].values()})
    overall = float(results.scores["mean_pearson"][STACK])
    own = slices[(slices["split"] == results.split) & (slices["name"] == STACK)]
    worse = own[own["mean_pearson"] < overall].sort_values("mean_pearson").head(_MOST_SLICES)
    worse["surely"] = np.where(worse["ci95_high"] < overall, "surely", "")
    return page_template("model_card.md").render(
        **shared_content(results),
        params=results.params,
        header=yaml_text(_HEADER),
        version=record["versions"].get("eri", ""),
        licences={kind: LICENCES[kind] for kind in kinds if kind in LICENCES},
        uses_faces=any(
            getattr(encoder, "face", "none") != "none"
            for encoder in results.params.encoders.values()
        ),
        heads={name: _described(spec) for name, spec in settings["heads"].items()},
        curve=results.curve,
        warnings=results.warnings,
        slices=laid_out(worse.drop(columns=["split", "name"])),
        overall=overall,
        has_slices=len(slices) > 0,
    )


def _described(head: Mapping[str, Any]) -> str:
    rest = ", ".join(f"{key} = {value}" for key, value in head.items() if key != "kind")
    return f"{head['kind']}, {rest or 'default settings'}"
