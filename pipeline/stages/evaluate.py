"""Stage `evaluate`: score and compare the stack, every head on every view, and the baselines."""

import json

from pipeline.breakdowns import contribution_table, slice_table
from pipeline.clip_table import read_rows
from pipeline.errors import run_or_exit
from pipeline.leaderboard import BASELINE, STACK, leaderboard, metrics, score_splits
from pipeline.params import load_params
from pipeline.paths import (
    BASELINES,
    CONTRIBUTIONS,
    LEADERBOARD,
    METRICS,
    PLOTS,
    SLICES,
    STACK_WEIGHTS,
)
from pipeline.paths import STACK as STACKED
from pipeline.predictions import read_members, read_prediction_table
from pipeline.report.plots import error_tables, score_tables, weight_table
from pipeline.tables import read_run_table


def main() -> None:
    """Write ``metrics.json``, ``leaderboard.csv``, ``slices.csv``, ``contributions.csv``, plots."""
    params = load_params()
    targets = params.targets
    rows = read_rows(params)
    stack = read_prediction_table(STACKED, rows, targets)[STACK]
    members = dict(read_members(list(params.heads), params.feature_names, rows, targets))
    baselines = read_prediction_table(BASELINES, rows, targets)

    named = {STACK: stack, **members}
    named |= {f"{BASELINE}{name}": each for name, each in baselines.items()}
    by_split = score_splits(named, rows, params)
    content = metrics(by_split, targets)
    METRICS.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    table = leaderboard(by_split)
    table.to_csv(LEADERBOARD, index=False)

    best = next(name for name in table["name"] if name in members)
    shown = {STACK: stack, best: members[best]}
    sliced = slice_table(shown, rows, params, params.evaluation.slices, list(by_split))
    sliced.to_csv(SLICES, index=False)

    main_split = next(iter(by_split))
    contributions = contribution_table(members, rows, params, main_split)
    contributions.to_csv(CONTRIBUTIONS, index=False)
    plots = {
        **score_tables(table, contributions, sliced),
        "weights": weight_table(read_run_table(STACK_WEIGHTS), targets),
        **error_tables(stack, rows, targets, main_split),
    }
    PLOTS.mkdir(parents=True, exist_ok=True)
    for name, each in plots.items():
        each.to_csv(PLOTS / f"{name}.csv", index=False)


if __name__ == "__main__":
    run_or_exit(main)
