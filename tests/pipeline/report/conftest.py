"""The results of a run: a stack, every head on every view, and a baseline; all with figures."""

import numpy as np
import pandas as pd
import pytest

from pipeline.breakdowns import CONTRIBUTION_COLUMNS, CURVE_COLUMNS, SLICE_COLUMNS
from pipeline.leaderboard import leaderboard, score_splits, shown_splits
from pipeline.report.page import render_report
from pipeline.report.plots import error_tables, read_plots, score_tables, weight_table
from pipeline.report.results import Results, run_record
from pipeline.views import IMPUTED_COLUMNS


@pytest.fixture
def predictions(rows, params):
    rng = np.random.default_rng(0)
    truth = np.nan_to_num(rows.y)
    named = {"stack": truth + 0.1 * rng.normal(size=truth.shape)}
    for head in params.heads:
        for view in (*params.encoders, "+".join(sorted(params.encoders))):
            named[f"{head}/{view}"] = truth + rng.normal(size=truth.shape)
    return named | {"baseline/mean": np.full_like(truth, 0.3)}


@pytest.fixture
def results(rows, params, predictions):
    """Make results; keywords replace parts of them."""

    def make(params=params, rows=rows, **changes):
        named = {name: each[:, : len(params.targets)] for name, each in predictions.items()}
        board = leaderboard(score_splits(named, rows, params))
        parts = {
            "contributions": pd.DataFrame(columns=CONTRIBUTION_COLUMNS),
            "slices": pd.DataFrame(columns=SLICE_COLUMNS),
            "curve": pd.DataFrame(columns=CURVE_COLUMNS),
            "imputed": pd.DataFrame(columns=IMPUTED_COLUMNS),
            **{"failures": {}, "warnings": [], "people": {}},
            "record": run_record(params, {}, {"results/stack.parquet": "ab12"}),
            **changes,
        }
        names, shares = ["ridge/face", "mlp/face"], dict.fromkeys(params.targets, (0.25, 0.75))
        tables = {
            **score_tables(board, parts["contributions"], parts["slices"]),
            "weights": weight_table(pd.DataFrame({"member": names} | shares), params.targets),
            **error_tables(named["stack"], rows, params.targets, shown_splits(board)[0]),
            "learning_curve": parts["curve"],
        }
        plots = {
            name: (plot, tables[table.stem].astype("string").fillna("").astype(str))
            for name, (table, plot) in read_plots().items()
        }
        made = {"params": params, "rows": rows, "stack": named["stack"], "board": board}
        return Results(**made, **parts, plots=plots)

    return make


@pytest.fixture
def render(results):
    return lambda **changes: render_report(results(**changes))
