"""Stage `evaluate`: score the stack, every head on every view, and the baselines."""

import json

from pipeline.clip_table import arrange_rows, read_clip_table
from pipeline.errors import run_or_exit
from pipeline.params import load_params
from pipeline.paths import BASELINES, LEADERBOARD, METRICS, PLOTS, STACK
from pipeline.plots import by_target_table, scatter_table
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

    split = "Val" if "val" in metrics["stack"] else "Train"
    PLOTS.mkdir(parents=True, exist_ok=True)
    score = metrics["stack"]["val" if split == "Val" else "oof"]
    by_target_table(score).to_csv(PLOTS / "stack_by_target.csv", index=False)
    scatter = scatter_table(stack, rows, targets, split)
    scatter.to_csv(PLOTS / "stack_scatter.csv", index=False)


if __name__ == "__main__":
    run_or_exit(main)
