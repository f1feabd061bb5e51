"""Stage `fit`: one head on every view, out of fold and refitted."""

import sys

from pipeline.clip_table import read_rows
from pipeline.errors import run_or_exit
from pipeline.fits.final import final_fit
from pipeline.fits.fit_cache import FitCache
from pipeline.fits.fitting import Fitter
from pipeline.fits.jobs import head_job
from pipeline.fits.pooled import find_view
from pipeline.fits.result_cache import default_result_folder
from pipeline.params import load_params
from pipeline.paths import OOF
from pipeline.predictions import write_prediction_table
from pipeline.views import view_names


def main() -> None:
    """Write ``results/oof/<head>.parquet`` for the head named on the command line."""
    params = load_params()
    (name,) = sys.argv[1:]
    rows = read_rows(params)
    folder = default_result_folder()
    fitter, cache = Fitter(rows), FitCache(rows, folder)
    predictions = {}
    for view_name in view_names(params.feature_names):
        view = find_view(view_name, params, folder)
        job = head_job(name, params.heads[name], params.seed, view)
        fit, reused = final_fit(job, fitter, cache, params.final.refit_on)
        how = "as fitted before" if reused else f"{fit.fit_s:.1f} s"
        print(f"{job.name}: {len(fit.predictions)} x {sum(view.bands)}, {how}", flush=True)
        predictions[view_name] = fit.predictions
    write_prediction_table(OOF / f"{name}.parquet", predictions, rows, params.targets)


if __name__ == "__main__":
    run_or_exit(main)
