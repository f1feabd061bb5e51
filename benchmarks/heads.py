"""Heads at the size of Hume-Reaction: against plain peers, all together, and as rows grow.

From the root of the repository: ``python -m benchmarks.heads [--fast] [--only ridge,...]``
"""

import resource
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.common import describe, known_names, timed
from benchmarks.real_heads import plain_peers
from benchmarks.views import BANDS, View, make_view
from models.folds import assign_folds
from models.heads import make_head
from models.heads.linear import ALPHAS
from models.metrics import mean_pearson
from models.stack import fit_stack, stack_oof
from models.view import FoldedView

N_ROWS, N_ROWS_FAST = 15_806, 1_500
BANDS_FAST = (384, 256, 88)
N_HELD = 1_000
N_FOLDS = 5
TOGETHER = ("ridge", "kernel_ridge", "lightgbm", "mlp")
GROWTH, GROWTH_FAST = (1_000, 3_000, 10_000, 30_000, 100_000), (500, 2_000)
SECTIONS = ("together", "ridge", "lightgbm", "growth")


def main(
    fast: Annotated[bool, typer.Option(help="A tenth of the rows, fewer columns.")] = False,
    only: Annotated[
        str, typer.Option(help=f"Sections, joined by commas, of {', '.join(SECTIONS)}.")
    ] = ",".join(SECTIONS),
) -> None:
    """Print one line per measurement, with ratios."""
    n_rows, bands = (N_ROWS_FAST, BANDS_FAST) if fast else (N_ROWS, BANDS)
    chosen = known_names(only, SECTIONS)
    typer.echo(describe())
    typer.echo(f"{n_rows} x {sum(bands)} x 7, {N_FOLDS} folds by person")
    if "together" in chosen:
        show_all_heads(n_rows, bands)
    if {"ridge", "lightgbm"} & set(chosen):
        view = folded_view(make_view(n_rows + N_HELD, bands), n_rows)
        if "ridge" in chosen:
            ridge(view)
        if "lightgbm" in chosen:
            lightgbm(view)
    if "growth" in chosen:
        for n in GROWTH_FAST if fast else GROWTH:
            show_all_heads(n, bands)


def ridge(folded: FoldedView) -> None:
    """All out of fold with a penalty per target, against `RidgeCV` on one of the folds."""
    from sklearn.linear_model import RidgeCV

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


def lightgbm(folded: FoldedView) -> None:
    """All out of fold, against plain `LGBMRegressor` on all columns, one target on one fold."""
    head = make_head({"kind": "lightgbm"}, 0)
    seconds, fit = timed(lambda: head.cross_fit(folded))
    train, out = folded.fold_of_row != 0, folded.fold_of_row == 0
    x, y = folded.inputs, folded.targets
    peer = plain_peers()["lightgbm"]
    peer_seconds, predicted = timed(lambda: peer.fit(x[train], y[train, 0]).predict(x[out]))
    n = (N_FOLDS + 1) * y.shape[1]
    typer.echo(
        f"lightgbm, out of fold and refitted: {seconds:.1f} s; LGBMRegressor on all columns, one "
        f"target and fold {peer_seconds:.1f} s, times {n}; ratio {n * peer_seconds / seconds:.1f}; "
        f"Pearson there {mean_pearson(y[out, :1], fit.oof[out, :1]):.4f}, LGBMRegressor's "
        f"{mean_pearson(y[out, :1], predicted[:, None]):.4f}"
    )


def run_all_heads(n_rows: int, bands: tuple[int, ...]) -> dict[str, Any]:
    """Fit every head of `TOGETHER` out of fold and again on all, then the stack, and measure."""
    import lightgbm  # noqa: F401 (before memory is counted)
    import torch  # noqa: F401

    before = peak_bytes()
    data = make_view(n_rows + N_HELD, bands)
    making, matrix_bytes = peak_bytes(), data[0].nbytes
    scaling_s, view = timed(folded_view, data, n_rows, copy=False, bands=bands)
    folds, seconds = view.fold_of_row, {"scaling": scaling_s}
    scores, members, held = {}, [], []
    for kind in TOGETHER:
        head = make_head({"kind": kind}, 0, bands)
        seconds[kind], fit = timed(lambda head=head: head.cross_fit(view))
        scores[kind] = mean_pearson(view.targets, fit.oof)
        members.append(fit.oof)
        held.append(fit.held)
    stacked = np.stack(members, axis=1)
    oof_s, oof = timed(stack_oof, stacked, view.targets, folds)
    fit_s, stack = timed(fit_stack, stacked, view.targets, folds)
    seconds["stack"] = oof_s + fit_s + timed(stack.predict, np.stack(held, axis=1))[0]
    scores["stack"] = mean_pearson(view.targets, oof)
    return {
        "seconds": seconds,
        "scores": scores,
        "matrix_mib": matrix_bytes / 2**20,
        # Above what Python and its libraries take; the view itself counts.
        "peak_in_matrices": (peak_bytes() - before) / matrix_bytes,
        "making_in_matrices": (making - before) / matrix_bytes,
    }


def show_all_heads(n_rows: int, bands: tuple[int, ...]) -> None:
    """Print what `run_all_heads` finds in a fresh process, whose peak memory is its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        found = process.submit(run_all_heads, n_rows, bands).result()
    seconds = ", ".join(f"{name} {each:.1f}" for name, each in found["seconds"].items())
    scores = ", ".join(f"{name} {each:.4f}" for name, each in found["scores"].items())
    typer.echo(
        f"{n_rows} rows: together {sum(found['seconds'].values()):.1f} s ({seconds}); "
        f"mean Pearson out of fold: {scores}; peak memory {found['peak_in_matrices']:.2f} times "
        f"the matrix of {found['matrix_mib']:.0f} MiB (made with {found['making_in_matrices']:.2f})"
    )


def folded_view(data: View, n_rows: int, **options: Any) -> FoldedView:
    """Part a view into rows in folds and held-out rows."""
    (x, y, people), own = data, slice(n_rows)
    folds = assign_folds(people[own], N_FOLDS, 0)
    return FoldedView(x[own], y[own], people[own], folds, x[n_rows:], **options)


def peak_bytes() -> int:
    """Return the largest memory that this process had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    typer.run(main)
