"""Stage `fit`: one head on every view, out of fold and on all of Train."""

import sys

from features.files import replacing_file
from pipeline.clip_table import read_rows
from pipeline.errors import run_or_exit
from pipeline.fit import Fitting, head_task
from pipeline.params import load_params
from pipeline.paths import OOF, fitted_head
from pipeline.predictions import write_prediction_table
from pipeline.views import view_names


def main() -> None:
    """Write ``results/oof/<head>.parquet`` and ``results/heads/<head>/<view>.skops``.

    The head is the one named on the command line.
    """
    params = load_params()
    (name,) = sys.argv[1:]
    rows = read_rows(params)
    fitting, predictions = Fitting(rows), {}
    for view in view_names(params.feature_names):
        task = head_task(name, view, params)
        fit = fitting.fit(task, with_head=True, refit_on=params.final.refit_on)
        with replacing_file(fitted_head(name, view)) as beside:
            beside.write_bytes(fit.head or b"")
        how = "as fitted before" if fit.reused else f"{fit.fit_s:.1f} s"
        print(f"{task.name}: {len(fit.predictions)} clips, {how}", flush=True)
        predictions[view] = fit.predictions
    write_prediction_table(OOF / f"{name}.parquet", predictions, rows, params.targets)


if __name__ == "__main__":
    run_or_exit(main)
