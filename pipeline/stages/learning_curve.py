"""Stage `learning_curve`: the best head on its view, fitted on fewer people too."""

from functools import partial

import numpy as np
import pandas as pd

from models.arrays import DataError
from pipeline.clip_table import Rows, read_rows
from pipeline.errors import run_or_exit
from pipeline.fits.curve import CURVE_COLUMNS, curve_arrays, curve_settings, curve_table
from pipeline.fits.fit_cache import FitCache
from pipeline.fits.fitting import Fitter, make_job_head
from pipeline.fits.jobs import head_job
from pipeline.fits.pooled import find_view
from pipeline.fits.result_cache import default_result_folder
from pipeline.params import Params, load_params
from pipeline.paths import LEADERBOARD, LEARNING_CURVE
from pipeline.replacing import replace_file
from pipeline.tables import read_run_table


def main() -> None:
    """Write ``results/learning_curve.csv``, without rows where there can be no curve."""
    params = load_params()
    rows = read_rows(params)
    table = pd.DataFrame(columns=CURVE_COLUMNS)
    name = best_single(read_run_table(LEADERBOARD), params)
    if np.isfinite(rows.y[(rows.clips["split"] == "Val").to_numpy(bool)]).any():
        try:
            table = _curve(name, rows, params)
            print(table.to_string(index=False))
        except DataError as error:  # a curve is no reason to stop a run whose scores are there
            print(f"no learning curve: {name} cannot be fitted on fewer people: {error}")
    else:
        print("no clip of Val is labelled: there is no learning curve")
    table.insert(0, "name", name)
    replace_file(LEARNING_CURVE, partial(table.to_csv, index=False))


def best_single(leaderboard: pd.DataFrame, params: Params) -> str:
    """Return the first ``<head>/<view>`` of a leaderboard: neither the stack nor a baseline."""
    names = leaderboard["name"].astype(str)
    return next(name for name in names if name.partition("/")[0] in params.heads and "/" in name)


def _curve(name: str, rows: Rows, params: Params) -> pd.DataFrame:
    """Fit, or take from the cache, which `eri compare --learning-curve` shares."""
    folder = default_result_folder()
    head, _, view_name = name.partition("/")
    view = find_view(view_name, params, folder)
    job = head_job(head, params.heads[head], params.seed, view)
    cache, settings = FitCache(rows, folder), curve_settings(rows, params)
    key = cache.curve_key(cache.key(job), **settings)
    arrays = cache.get(key)
    if arrays is None:
        points = Fitter(rows).learning_curve(view, make_job_head(job), **settings)
        arrays = curve_arrays(points)
        cache.put(key, arrays)
    return curve_table(arrays)


if __name__ == "__main__":
    run_or_exit(main)
