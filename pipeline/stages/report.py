"""Stage `report`: write the report, print the leaderboard, and say where the files are."""

import hashlib
import json

import pandas as pd
import pyarrow.parquet as pq

from features.store import shards_of, store_metadata
from pipeline.clip_table import read_rows
from pipeline.errors import run_or_exit
from pipeline.params import load_params
from pipeline.paths import (
    CLIPS,
    FEATURES,
    FOLDS,
    FOLDS_REPORT,
    IMPUTED,
    LEADERBOARD,
    METRICS,
    PEOPLE_REPORT,
    PREDICTIONS,
    REPORT,
    SLICES,
    STACK,
    STACK_WEIGHTS,
)
from pipeline.people import read_warnings
from pipeline.predictions import read_prediction_table
from pipeline.replacing import replace_file
from pipeline.report.html import Results, render_report
from pipeline.report.text import imputed_text, leaderboard_text, notes, refit_notes


def main() -> None:
    """Write ``results/report.html`` and print."""
    params = load_params()
    table, imputed = pd.read_csv(LEADERBOARD), pd.read_csv(IMPUTED)
    rows = read_rows(params)
    results = Results(
        params=params,
        rows=rows,
        table=table,
        stack=read_prediction_table(STACK, rows, params.targets)["stack"],
        failures={n: pd.read_parquet(FEATURES / f"{n}.failures.parquet") for n in params.encoders},
        imputed=imputed,
        slices=pd.read_csv(SLICES),
        weights=pd.read_csv(STACK_WEIGHTS),
        warnings=read_warnings(PEOPLE_REPORT, FOLDS_REPORT),
        people=json.loads(PEOPLE_REPORT.read_text(encoding="utf-8")),
        stores={
            name: store_metadata(pq.read_schema(shards_of(FEATURES / name)[0]))
            for name in params.encoders
        },
        files={
            str(path): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (CLIPS, FOLDS, STACK, LEADERBOARD)
        },
    )
    page = render_report(results)
    replace_file(REPORT, lambda path: path.write_text(page, encoding="utf-8"))

    print(f"\nMean Pearson over {len(params.targets)} targets\n")
    print(leaderboard_text(table))
    for note in [*notes(params), *refit_notes(params), *imputed_text(imputed)]:
        print(f"\n{note}")
    print(f"\nreport       {REPORT}\nleaderboard  {LEADERBOARD}")
    print(f"metrics      {METRICS}\npredictions  {PREDICTIONS}")
    print(f"imputed      {IMPUTED}")


if __name__ == "__main__":
    run_or_exit(main)
