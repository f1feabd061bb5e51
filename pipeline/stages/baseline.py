"""Stage `baseline`: what is not emotion. The mean, and ridges on the duration or other columns."""

from pipeline.clip_table import read_rows
from pipeline.errors import run_or_exit
from pipeline.fits.final import final_fit
from pipeline.fits.fit_cache import FitCache
from pipeline.fits.fitting import Fitter
from pipeline.fits.jobs import baseline_jobs
from pipeline.fits.result_cache import default_result_folder
from pipeline.params import load_params
from pipeline.paths import BASELINES
from pipeline.predictions import write_prediction_table


def main() -> None:
    """Write ``results/baselines.parquet`` with the views ``mean``, ``duration`` and the columns."""
    params = load_params()
    rows = read_rows(params)
    fitter, cache = Fitter(rows), FitCache(rows, default_result_folder())
    predictions = {}
    for job in baseline_jobs(params.evaluation.baselines, params.seed):
        fit, _ = final_fit(job, fitter, cache, params.final.refit_on)
        predictions[job.name.removeprefix("baseline/")] = fit.predictions
    write_prediction_table(BASELINES, predictions, rows, params.targets)


if __name__ == "__main__":
    run_or_exit(main)
