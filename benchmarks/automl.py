"""AutoGluon and ours on one table, with the same folds, cores and seconds: score over time.

From the root of the repository: ``python -m benchmarks.automl PROJECT AUTOGLUON_PYTHON [--fast]``

PROJECT is a folder in which the pipeline ran, such as one of ``python -m benchmarks.evidence``.
AutoGluon lives in an environment of its own: ``python -m venv autogluon``, then
``autogluon/bin/pip install "autogluon.tabular[lightgbm,catboost,xgboost]" torch``. It has an equal
share of the budget for each target, and our folds for its bagging. Both are fitted on Train, and
scored on Val; what ours fitted before does not count.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from benchmarks.common import describe, timed
from models.metrics import mean_pearson
from pipeline.comparison import Comparison, plan_comparison
from pipeline.fit import Fitting
from pipeline.paths import COMPARISON

N_CORES = 2
AUTOGLUON = """
import json, sys, warnings
import pandas as pd
from autogluon.tabular import TabularPredictor
warnings.filterwarnings("ignore")
folder, budget_s, preset, *targets = sys.argv[1:]
train, val = (pd.read_parquet(f"{folder}/{name}.parquet") for name in ("train", "val"))
found = {}
for target in targets:
    others = [each for each in targets if each != target]
    predictor = TabularPredictor(
        target, "regression", "pearsonr", f"{folder}/{budget_s}-{target}", 0, groups="fold"
    )
    try:
        predictor.fit(
            train.drop(columns=others), time_limit=float(budget_s) / len(targets),
            presets=preset, dynamic_stacking=False, num_cpus=2, num_gpus=0, save_space=True,
        )
        found[target] = predictor.predict(val).tolist()
    except Exception as error:
        print(target, repr(error), file=sys.stderr)
        found[target] = [0.0] * len(val)
json.dump(found, open(f"{folder}/found.json", "w"))
"""
"""Run by the other Python: folder, seconds in all, preset, targets."""


def main(
    project: Annotated[Path, typer.Argument(help="Where the pipeline ran.", exists=True)],
    python: Annotated[Path, typer.Argument(help="Of an environment with AutoGluon.", exists=True)],
    view: Annotated[str, typer.Option(help="Encoders, joined by +.")] = "egemaps",
    targets: Annotated[int, typer.Option(help="How many of them.")] = 3,
    budgets_s: Annotated[str, typer.Option(help="Joined by commas.")] = "30,60,120,300",
    preset: Annotated[str, typer.Option(help="Of AutoGluon.")] = "best_quality",
    fast: Annotated[bool, typer.Option(help="One budget, 15 s.")] = False,
) -> None:
    """Print the mean Pearson that each reaches within each budget, and the seconds it took."""
    python = python.absolute()  # a link, which tells it its environment
    with contextlib.chdir(project), tempfile.TemporaryDirectory() as folder:
        names = plan_comparison().params.targets[:targets]
        plan = plan_comparison([view], ["ridge"], names, split="val")
        shape = write_table(plan, Path(folder))
        typer.echo(f"{describe()}\n{view}: Train, columns, targets and Val are {shape}")
        typer.echo(f"{'budget s':>8}{'eri compare':>14}{'s':>6}{'AutoGluon':>12}{'s':>6}")
        for budget in "15" if fast else budgets_s.split(","):
            ours_s, ours = timed(lambda b=budget: compared(plan, b, Path(folder)))
            theirs_s, theirs = timed(lambda b=budget: bagged(plan, b, preset, python, Path(folder)))
            typer.echo(f"{budget:>8}{ours:14.3f}{ours_s:6.0f}{theirs:12.3f}{theirs_s:6.0f}")


def write_table(plan: Comparison, folder: Path) -> tuple[int, ...]:
    """Write Train and Val for AutoGluon, and return their numbers of rows and columns."""
    view, n, names = Fitting(plan.rows).view(plan.tasks[-1]), plan.rows.n_train, plan.params.targets
    train = pd.DataFrame(view.inputs).add_prefix("x")
    labels = pd.DataFrame(view.targets, columns=[*names])
    table = pd.concat([train, labels, pd.Series(view.fold_of_row, name="fold")], axis=1)
    table.to_parquet(folder / "train.parquet")
    val = (plan.rows.clips["split"] == "Val").to_numpy(bool)
    held = pd.DataFrame(view.held_inputs[val[n:]]).add_prefix("x")
    held.to_parquet(folder / "val.parquet")
    return len(table), train.shape[1], len(names), len(held)


def compared(plan: Comparison, budget: str, folder: Path) -> float:
    """Run `eri compare` within a budget, with nothing cached, and return the stack's score."""
    heads = ",".join(plan.params.heads)
    view = plan.tasks[-1].name.partition("/")[2]
    command = ["compare", "--encoders", view, "--heads", heads, "--budget-s", budget]
    command += ["--targets", ",".join(plan.params.targets), "--split", "val"]
    run([sys.executable, "-m", "pipeline.cli", *command], ERI_CACHE=str(folder / budget))
    table = pd.read_csv(COMPARISON / "leaderboard.csv").set_index("name")
    return float(table["mean_pearson"].get("stack", table["mean_pearson"].iloc[0]))


def bagged(plan: Comparison, budget: str, preset: str, python: Path, folder: Path) -> float:
    """Run AutoGluon within a budget, and return its mean Pearson."""
    targets = plan.params.targets
    command = [str(python), "-c", AUTOGLUON, str(folder), budget, preset, *targets]
    # It fails on a target where its share of the budget is too short for any model: that is 0.
    typer.echo(run(command, PYTHONPATH=""), err=True, nl=False)
    found = json.loads((folder / "found.json").read_text(encoding="utf-8"))
    val = (plan.rows.clips["split"] == "Val").to_numpy(bool)
    return mean_pearson(plan.rows.y[val], np.transpose([found[each] for each in targets]))


def run(command: list[str], **variables: str) -> str:
    """Run a command on the same cores, and return what it complained about."""
    cores = {name: str(N_CORES) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    environment = {**os.environ, **cores, **variables}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return done.stderr


if __name__ == "__main__":
    typer.run(main)
