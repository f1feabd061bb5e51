"""Stage `fit`: one head on every view, out of fold and refitted."""

import sys
import time

from pipeline.clip_table import arrange_rows, read_clip_table
from pipeline.errors import run_or_exit
from pipeline.params import load_params
from pipeline.paths import OOF
from pipeline.predictions import fold_view, predict_rows, write_prediction_table
from pipeline.views import load_view, view_names


def main() -> None:
    """Write ``results/oof/<head>.parquet`` for the head named on the command line."""
    params = load_params()
    (name,) = sys.argv[1:]
    rows = arrange_rows(read_clip_table(), params)
    predictions = {}
    for view in view_names(list(params.encoders)):
        started_s = time.perf_counter()
        x = load_view(view, rows.clip_ids)
        predictions[view] = predict_rows(params.make_head(name), fold_view(x, rows))
        took_s = time.perf_counter() - started_s
        print(f"{name}/{view}: {x.shape[0]} x {x.shape[1]}, {took_s:.1f} s", flush=True)
    write_prediction_table(OOF / f"{name}.parquet", predictions, rows, params.targets)


if __name__ == "__main__":
    run_or_exit(main)
