import numpy as np
import pandas as pd
import pytest

from pipeline.leaderboard import leaderboard, score_splits
from pipeline.report.html import Results, render_report
from pipeline.submission import IMPUTED_COLUMNS


@pytest.fixture
def results(rows, params):
    """Make the results of a stack, of every head on every view, and of a baseline."""

    def make(params=params, rows=rows, **changes):
        rng = np.random.default_rng(0)
        truth = np.nan_to_num(rows.y)
        predictions = {"stack": truth + 0.1 * rng.normal(size=truth.shape)}
        views = [*params.encoders, "+".join(sorted(params.encoders))]
        for head in params.heads:
            for view in dict.fromkeys(views):
                predictions[f"{head}/{view}"] = truth + rng.normal(size=truth.shape)
        predictions["baseline/mean"] = np.full_like(truth, 0.3)
        table = leaderboard(score_splits(predictions, rows, params))
        content = {
            "params": params,
            "rows": rows,
            "table": table,
            "stack": predictions["stack"],
            "imputed": pd.DataFrame(columns=IMPUTED_COLUMNS),
        }
        return Results(**content | changes)

    return make


@pytest.fixture
def render(results):
    return lambda **changes: render_report(results(**changes))
