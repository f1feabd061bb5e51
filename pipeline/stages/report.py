"""Stage `report`: write the report, print the leaderboard, and say where the files are."""

import json

import pandas as pd

from pipeline.clip_table import read_clips_of_people
from pipeline.errors import run_or_exit
from pipeline.params import load_params
from pipeline.paths import (
    FEATURES,
    FOLDS_REPORT,
    IMPUTED,
    LEADERBOARD,
    METRICS,
    PEOPLE_REPORT,
    PREDICTIONS,
    REPORT,
)
from pipeline.people import read_warnings
from pipeline.report.html import render_report
from pipeline.report.text import imputed_text, leaderboard_text, notes, refit_notes


def main() -> None:
    """Write ``results/report.html`` and print."""
    params = load_params()
    table = pd.read_csv(LEADERBOARD)
    metrics = json.loads(METRICS.read_text(encoding="utf-8"))
    failures = {
        name: pd.read_parquet(FEATURES / f"{name}.failures.parquet") for name in params.encoders
    }
    imputed = pd.read_csv(IMPUTED)
    clips = read_clips_of_people(params)
    warnings = read_warnings(PEOPLE_REPORT, FOLDS_REPORT)
    page = render_report(params, clips, metrics, table, failures, imputed, warnings)
    REPORT.write_text(page, encoding="utf-8")

    print(f"\nMean Pearson over {len(params.targets)} targets\n")
    print(leaderboard_text(table))
    for note in [*notes(params), *refit_notes(params), *imputed_text(imputed)]:
        print(f"\n{note}")
    print(f"\nreport       {REPORT}\nleaderboard  {LEADERBOARD}")
    print(f"metrics      {METRICS}\npredictions  {PREDICTIONS}")
    print(f"imputed      {IMPUTED}")


if __name__ == "__main__":
    run_or_exit(main)
