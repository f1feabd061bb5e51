"""Stage `baseline`: what is not emotion. The mean, and ridges on the duration or other columns."""

from pipeline.clip_table import read_rows
from pipeline.errors import run_or_exit
from pipeline.fit import Fitting, baseline_tasks
from pipeline.params import load_params
from pipeline.paths import BASELINES
from pipeline.predictions import write_prediction_table


def main() -> None:
    """Write ``results/baselines.parquet`` with the views ``mean``, ``duration`` and the columns."""
    params = load_params()
    rows = read_rows(params)
    fitting = Fitting(rows)
    predictions = {}
    for task in baseline_tasks(params):
        fit = fitting.fit(task, refit_on=params.final.refit_on)
        predictions[task.name.removeprefix("baseline/")] = fit.predictions
    write_prediction_table(BASELINES, predictions, rows, params.targets)


if __name__ == "__main__":
    run_or_exit(main)
