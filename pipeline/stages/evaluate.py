"""Stage `evaluate`: score the stack, every head on every view, and the baselines."""

import json

import pandas as pd

from pipeline.clip_table import arrange_rows, read_clip_table
from pipeline.errors import run_or_exit
from pipeline.params import load_params
from pipeline.paths import BASELINES, LEADERBOARD, METRICS, PLOTS, STACK
from pipeline.predictions import read_members, read_prediction_table
from pipeline.scoring import leaderboard, score_splits


def main() -> None:
    """Write ``results/metrics.json``, ``leaderboard.csv`` and the tables under ``plots``."""
    params = load_params()
    targets = params.targets
    rows = arrange_rows(read_clip_table(), params)
    stack = read_prediction_table(STACK, rows, targets)["stack"]
    members = dict(read_members(list(params.heads), list(params.encoders), rows, targets))
    baselines = read_prediction_table(BASELINES, rows, targets)

    metrics = {
        "stack": score_splits(stack, rows, params),
        "heads": {name: score_splits(each, rows, params) for name, each in members.items()},
        "baselines": {name: score_splits(each, rows, params) for name, each in baselines.items()},
    }
    METRICS.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")

    named = {"stack": metrics["stack"], **metrics["heads"]}
    named |= {f"baseline/{name}": scores for name, scores in metrics["baselines"].items()}
    table = leaderboard(named, targets)
    table.to_csv(LEADERBOARD, index=False)

    PLOTS.mkdir(parents=True, exist_ok=True)
    split = "val" if "val_mean_pearson" in table else "oof"
    by_target = table[["name", *(f"{split}_{target}" for target in targets)]]
    by_target.columns = pd.Index(["name", *targets])
    by_target.melt("name", var_name="target", value_name="pearson").to_csv(
        PLOTS / "pearson_by_target.csv", index=False
    )
    chosen = (rows.clips["split"] == "Val").to_numpy() if split == "val" else slice(rows.n_train)
    scatter = pd.DataFrame(
        {
            "clip_id": rows.clips["clip_id"][chosen].repeat(len(targets)),
            "target": list(targets) * len(stack[chosen]),
            "label": rows.y[chosen].ravel(),
            "prediction": stack[chosen].ravel(),
        }
    )
    scatter.dropna().to_csv(PLOTS / "stack_scatter.csv", index=False)


if __name__ == "__main__":
    run_or_exit(main)
