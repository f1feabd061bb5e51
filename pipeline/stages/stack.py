"""Stage `stack`: combine all heads and views, and write the challenge's prediction file."""

import numpy as np
import pandas as pd

from features.files import replacing_file
from models.persistence import dumps
from models.stack import fit_stack, stack_oof
from pipeline.challenge import imputed_table, submission_table
from pipeline.clip_table import read_rows
from pipeline.errors import run_or_exit
from pipeline.params import load_params
from pipeline.paths import IMPUTED, PREDICTIONS, STACK, STACK_FITTED, STACK_WEIGHTS
from pipeline.predictions import read_members, write_prediction_table


def main() -> None:
    """Write the stack, its predictions and weights, ``predictions.csv`` and ``imputed.csv``."""
    params = load_params()
    rows = read_rows(params)
    n = rows.n_train
    by_name = dict(read_members(list(params.heads), params.feature_names, rows, params.targets))
    members = np.stack(list(by_name.values()), axis=1)
    stack = fit_stack(members[:n], rows.y[:n], rows.fold_of_row)
    oof = stack_oof(members[:n], rows.y[:n], rows.fold_of_row)
    predictions = np.concatenate([oof, stack.predict(members[n:])])

    write_prediction_table(STACK, {"stack": predictions}, rows, params.targets)
    names = pd.Index(by_name, name="member")
    weights = pd.DataFrame(stack.member_weights.T, names, list(params.targets))
    weights.to_csv(STACK_WEIGHTS)
    submission = submission_table(predictions, rows.clips, params.targets)
    with replacing_file(PREDICTIONS) as beside:
        submission.to_csv(beside, index=False)
    failures = {name: params.failures_file(name) for name in params.feature_names}
    imputed = imputed_table(rows, failures)
    with replacing_file(IMPUTED) as beside:
        imputed.to_csv(beside, index=False)
    with replacing_file(STACK_FITTED) as beside:
        beside.write_bytes(dumps(stack))
    part = "" if stack.method == "average" else f" ({stack.share:.0%}, the rest plain average)"
    print(f"stack of {len(by_name)} members, combined by: {stack.method}{part}")


if __name__ == "__main__":
    run_or_exit(main)
