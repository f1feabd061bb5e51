"""Stage `baseline`: what is not emotion. The mean, and a ridge on the clip's duration alone."""

import numpy as np

from models.heads import make_head
from pipeline.clip_table import read_rows
from pipeline.errors import run_or_exit
from pipeline.params import load_params
from pipeline.paths import BASELINES
from pipeline.predictions import fold_view, predict_rows, write_prediction_table


def main() -> None:
    """Write ``results/baselines.parquet`` with the views ``mean`` and ``duration``."""
    params = load_params()
    rows = read_rows(params)
    duration_s = rows.clips[["duration_s"]].to_numpy(np.float32)
    view = fold_view(duration_s, rows)
    predictions = {
        name: predict_rows(make_head(kind, {}, params.seed), view)
        for name, kind in (("mean", "mean"), ("duration", "ridge"))
    }
    write_prediction_table(BASELINES, predictions, rows, params.targets)


if __name__ == "__main__":
    run_or_exit(main)
