"""Stage `learning_curve`: the best head on its view, fitted on fewer people too."""

import numpy as np
import pandas as pd

from features.files import replacing_file
from models.arrays import DataError
from pipeline.breakdowns import CURVE_COLUMNS, learning_curve_table
from pipeline.clip_table import read_rows
from pipeline.errors import run_or_exit
from pipeline.fit import Fitting, head_task
from pipeline.params import Params, load_params
from pipeline.paths import LEADERBOARD, LEARNING_CURVE
from pipeline.tables import read_run_table


def main() -> None:
    """Write ``results/learning_curve.csv``, without rows where there can be no curve."""
    params = load_params()
    rows = read_rows(params)
    table = pd.DataFrame(columns=["name", *CURVE_COLUMNS])
    name = best_single(read_run_table(LEADERBOARD), params)
    if np.isfinite(rows.y[(rows.clips["split"] == "Val").to_numpy(bool)]).any():
        try:
            head, view = name.split("/")
            task = head_task(head, view, params)
            table = learning_curve_table(Fitting(rows), task, params)
            print(table.to_string(index=False))
        except DataError as error:  # a curve is no reason to stop a run whose scores are there
            print(f"no learning curve: {name} cannot be fitted on fewer people: {error}")
    else:
        print("no clip of Val is labelled: there is no learning curve")
    with replacing_file(LEARNING_CURVE) as beside:
        table.to_csv(beside, index=False)


def best_single(leaderboard: pd.DataFrame, params: Params) -> str:
    """Return the first ``<head>/<view>`` of a leaderboard: neither the stack nor a baseline."""
    names = leaderboard["name"].astype(str)
    return next(name for name in names if name.partition("/")[0] in params.heads and "/" in name)


if __name__ == "__main__":
    run_or_exit(main)
