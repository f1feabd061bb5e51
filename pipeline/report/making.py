"""From the files of a run to its report, its model card and the record of what it is made of."""

import hashlib
import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from features.store import shards_of, store_metadata
from pipeline.clip_table import read_rows
from pipeline.params import Params, ParamsError
from pipeline.paths import (
    CLIPS,
    CONTRIBUTIONS,
    FOLDS,
    FOLDS_REPORT,
    IMPUTED,
    LEADERBOARD,
    LEARNING_CURVE,
    MODEL_CARD,
    PEOPLE_REPORT,
    REPORT,
    RUN,
    SLICES,
    STACK,
    STACK_WEIGHTS,
)
from pipeline.people import read_warnings
from pipeline.predictions import read_prediction_table
from pipeline.replacing import replace_file
from pipeline.report.html import Results, render_report
from pipeline.report.model_card import render_model_card
from pipeline.report.run import run_record
from pipeline.tables import read_run_table

_NEEDED = (
    *(CLIPS, FOLDS, FOLDS_REPORT, PEOPLE_REPORT, STACK, STACK_WEIGHTS),
    *(LEADERBOARD, SLICES, CONTRIBUTIONS, IMPUTED, LEARNING_CURVE),
)


def read_results(params: Params) -> Results:
    """Read what a run has written.

    Raises
    ------
    ParamsError
        When files of the run are missing, or of other clips.
    """
    missing = [str(path) for path in _NEEDED if not path.is_file()]
    if missing:
        raise ParamsError(f"there is no finished run here: {missing} are missing. Run `dvc repro`")
    rows = read_rows(params)
    return Results(
        params=params,
        rows=rows,
        table=read_run_table(LEADERBOARD),
        stack=read_prediction_table(STACK, rows, params.targets)["stack"],
        failures={n: pd.read_parquet(params.failures_file(n)) for n in params.feature_names},
        imputed=read_run_table(IMPUTED),
        slices=read_run_table(SLICES),
        contributions=read_run_table(CONTRIBUTIONS),
        weights=read_run_table(STACK_WEIGHTS),
        curve=read_run_table(LEARNING_CURVE),
        warnings=read_warnings(PEOPLE_REPORT, FOLDS_REPORT),
        people=json.loads(PEOPLE_REPORT.read_text(encoding="utf-8")),
        stores={
            name: store_metadata(pq.read_schema(shards_of(params.store_folder(name))[0]))
            for name in params.feature_names
        },
        files={
            str(path): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (CLIPS, FOLDS, STACK, LEADERBOARD)
        },
    )


def write_report(results: Results, report: Path = REPORT) -> None:
    """Write the report as HTML."""
    write_page(report, render_report(results))


def write_model_card(results: Results) -> None:
    """Write ``results/model_card.md``, and ``results/run.json``: what the run is made of."""
    write_page(MODEL_CARD, render_model_card(results))
    record = run_record(results.params, results.stores, results.files)
    write_page(RUN, json.dumps(record, indent=2) + "\n")


def write_page(path: Path, text: str) -> None:
    """Write a text whole, into a folder that is made where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, lambda beside: beside.write_text(text, encoding="utf-8"))
