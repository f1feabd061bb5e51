"""Heads at the size of Hume-Reaction: against scikit-learn, all together, and as rows grow.

From the root of the repository: ``python -m benchmarks.heads [--fast] [--only ridge,...]``
"""

import json
import resource
import subprocess
import sys
import time
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.machine import describe
from benchmarks.names import known_names
from benchmarks.timing import timed
from benchmarks.views import View, make_view
from models.evaluation.bootstrap import bootstrap_scores
from models.folds import assign_folds
from models.heads import make_head
from models.heads.linear import ALPHAS
from models.metrics import mean_pearson
from models.stack import fit_stack, stack_oof
from models.view import FoldedView

N_ROWS, N_ROWS_FAST = 15_806, 1_500
BANDS, BANDS_FAST = (3072, 2048, 88), (384, 256, 88)
N_HELD = 1_000
N_FOLDS = 5
TOGETHER = ("ridge", "kernel_ridge", "lightgbm", "mlp")
GROWTH, GROWTH_FAST = (1_000, 3_000, 10_000, 30_000, 100_000), (500, 2_000)
SECTIONS = ("together", "ridge", "lightgbm", "mlp", "bootstrap", "growth")


def main(
    fast: Annotated[bool, typer.Option(help="A tenth of the rows, fewer columns.")] = False,
    only: Annotated[
        str, typer.Option(help=f"Sections, joined by commas, of {', '.join(SECTIONS)}.")
    ] = ",".join(SECTIONS),
    child: Annotated[int, typer.Option(hidden=True)] = 0,
) -> None:
    """Print one line per measurement, with ratios."""
    n_rows, bands = (N_ROWS_FAST, BANDS_FAST) if fast else (N_ROWS, BANDS)
    if child:
        print(json.dumps(run_all_heads(child, bands)))
        return
    chosen = known_names(only, SECTIONS)
    typer.echo(describe())
    typer.echo(f"{n_rows} x {sum(bands)} x 7, {N_FOLDS} folds by person")
    if "together" in chosen:
        together(n_rows, fast=fast)
    if {"ridge", "lightgbm", "mlp"} & set(chosen):
        view = make_view(n_rows + N_HELD, bands)
        if "ridge" in chosen:
            ridge(view, n_rows)
        if "lightgbm" in chosen:
            lightgbm(view, n_rows)
        if "mlp" in chosen:
            mlp(view, n_rows)
    if "bootstrap" in chosen:
        bootstrap(n_rows)
    if "growth" in chosen:
        for n in GROWTH_FAST if fast else GROWTH:
            show_all_heads(in_a_process(n, fast=fast))


def ridge(data: View, n_rows: int) -> None:
    """All out of fold with a penalty per target, against `RidgeCV` on one of the folds."""
    from sklearn.linear_model import RidgeCV

    folded = folded_view(data, n_rows)
    seconds, fit = timed(lambda: make_head({"kind": "ridge"}, 0).cross_fit(folded))
    train, out = folded.fold_of_row != 0, folded.fold_of_row == 0
    unit = float(folded.gram_of(folded.fold_of_row).equations((0,)).unit)
    peer = RidgeCV(np.array(ALPHAS) * unit, alpha_per_target=True)
    x, y = folded.inputs, folded.targets
    peer_seconds, predicted = timed(lambda: peer.fit(x[train], y[train]).predict(x[out]))
    typer.echo(
        f"ridge, {len(ALPHAS)} alphas, out of fold: {seconds:.1f} s; RidgeCV on one fold "
        f"{peer_seconds:.1f} s, times {N_FOLDS}; ratio {N_FOLDS * peer_seconds / seconds:.1f}; "
        f"mean Pearson on that fold {mean_pearson(y[out], fit.oof[out]):.4f}, RidgeCV's "
        f"{mean_pearson(y[out], predicted):.4f}"
    )


def lightgbm(data: View, n_rows: int) -> None:
    """All out of fold, against plain `LGBMRegressor` on all columns, one target on one fold."""
    from lightgbm import LGBMRegressor

    folded = folded_view(data, n_rows)
    head = make_head({"kind": "lightgbm"}, 0)
    seconds, fit = timed(lambda: head.cross_fit(folded))
    train, out = folded.fold_of_row != 0, folded.fold_of_row == 0
    x, y = folded.inputs, folded.targets
    peer = LGBMRegressor(
        learning_rate=0.05, n_estimators=300, num_leaves=15, colsample_bytree=0.3, verbosity=-1
    )
    peer_seconds, predicted = timed(lambda: peer.fit(x[train], y[train, 0]).predict(x[out]))
    n = (N_FOLDS + 1) * y.shape[1]
    typer.echo(
        f"lightgbm, out of fold and refitted: {seconds:.1f} s; LGBMRegressor on all columns, one "
        f"target and fold {peer_seconds:.1f} s, times {n}; ratio {n * peer_seconds / seconds:.1f}; "
        f"Pearson there {mean_pearson(y[out, :1], fit.oof[out, :1]):.4f}, LGBMRegressor's "
        f"{mean_pearson(y[out, :1], predicted[:, None]):.4f}"
    )


def mlp(data: View, n_rows: int) -> None:
    """Five folds and three seeds at once, against one member after the other."""
    from benchmarks.mlp import compare_on

    compare_on(folded_view(data, n_rows))


def bootstrap(n_rows: int) -> None:
    """Score 2,000 resamples of the people for 30 rows of a leaderboard."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=(n_rows, 7))
    predictions = y + rng.normal(size=(30, n_rows, 7))
    people = np.arange(n_rows) // 11
    seconds, _ = timed(lambda: bootstrap_scores(y, predictions, people, 2_000, 0))
    typer.echo(f"bootstrap, 2,000 resamples of {people[-1] + 1} people, 30 rows: {seconds:.2f} s")


def together(n_rows: int, *, fast: bool) -> None:
    """All heads and the stack, against one `RidgeCV` fit on one fold; and the peak memory."""
    show_all_heads(in_a_process(n_rows, fast=fast))


def run_all_heads(n_rows: int, bands: tuple[int, ...]) -> dict[str, Any]:
    """Fit every head of `TOGETHER` out of fold and again on all, then the stack, and measure."""
    import lightgbm  # noqa: F401 (before memory is counted)
    import torch  # noqa: F401

    before = peak_bytes()
    data = make_view(n_rows + N_HELD, bands)
    making = peak_bytes()
    matrix_bytes = data.x.nbytes
    folds = assign_folds(data.people[:n_rows], N_FOLDS, 0)
    seconds: dict[str, float] = {}
    arrays = (data.x[:n_rows], data.y[:n_rows], data.people[:n_rows], folds, data.x[n_rows:])
    seconds["scaling"], view = timed(lambda: FoldedView(*arrays, copy=False, bands=bands))
    scores, members, held = {}, [], []
    for kind in TOGETHER:
        head = make_head({"kind": kind}, 0, bands)
        seconds[kind], fit = timed(lambda head=head: head.cross_fit(view))
        scores[kind] = mean_pearson(view.targets, fit.oof)
        members.append(fit.oof)
        held.append(fit.held)
    stacked = np.stack(members, axis=1)
    began_s = time.perf_counter()
    oof = stack_oof(stacked, view.targets, folds)
    fit_stack(stacked, view.targets, folds).predict(np.stack(held, axis=1))
    seconds["stack"] = time.perf_counter() - began_s
    scores["stack"] = mean_pearson(view.targets, oof)
    return {
        "n_rows": n_rows,
        "seconds": seconds,
        "scores": scores,
        "matrix_mib": matrix_bytes / 2**20,
        # Above what Python and its libraries take; the view itself counts.
        "peak_in_matrices": (peak_bytes() - before) / matrix_bytes,
        "making_in_matrices": (making - before) / matrix_bytes,
    }


def show_all_heads(found: dict[str, Any]) -> None:
    """Print what `run_all_heads` found."""
    seconds = ", ".join(f"{name} {each:.1f}" for name, each in found["seconds"].items())
    scores = ", ".join(f"{name} {each:.4f}" for name, each in found["scores"].items())
    typer.echo(
        f"{found['n_rows']} rows: together {sum(found['seconds'].values()):.1f} s ({seconds}); "
        f"mean Pearson out of fold: {scores}; peak memory {found['peak_in_matrices']:.2f} times "
        f"the matrix of {found['matrix_mib']:.0f} MiB (made with {found['making_in_matrices']:.2f})"
    )


def in_a_process(n_rows: int, *, fast: bool) -> dict[str, Any]:
    """Run `run_all_heads` in a fresh process, whose peak memory is its own."""
    command = [sys.executable, "-m", "benchmarks.heads", "--child", str(n_rows)]
    command += ["--fast"] if fast else []
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def folded_view(data: View, n_rows: int) -> FoldedView:
    """Part a view into rows in folds and held-out rows."""
    folds = assign_folds(data.people[:n_rows], N_FOLDS, 0)
    return FoldedView(
        data.x[:n_rows], data.y[:n_rows], data.people[:n_rows], folds, data.x[n_rows:]
    )


def peak_bytes() -> int:
    """Return the largest memory that this process had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    typer.run(main)
