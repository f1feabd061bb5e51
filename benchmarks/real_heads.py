"""Heads on real ratings: FER+ faces, on gradients and pixels, beside plain peers.

From the root of the repository, with FER+ in ``../shared/ferplus``:
``python -m benchmarks.real_heads [--fast] [--rows 8000] [--heads ridge,lightgbm] [--peers svr]``
"""

import io
import sys
import tempfile
from pathlib import Path
from subprocess import run
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray
from PIL import Image
from sklearn.base import clone

from benchmarks.common import describe, peak_mib, timed
from models.arrays import return_freed_memory
from models.folds import assign_folds
from models.heads import estimated_cost, make_head
from models.metrics import mean_pearson
from models.stack import stack_oof
from models.view import FoldedView

SHARED = Path(__file__).parents[2] / "shared" / "ferplus"
TARGETS = ["happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"]
OTHERS = ["neutral", "unknown", "not_a_face"]
PIXELS = (12, 12)
WARM_ROWS = 500
SEVERAL = ("RidgeCV", "KernelRidge", "MLPRegressor")
"""Peers that take several targets at once."""


def main(
    fast: Annotated[bool, typer.Option(help="2,000 faces.")] = False,
    rows: Annotated[int, typer.Option(help="Faces, drawn at random.")] = 31_707,
    heads: Annotated[str, typer.Option(help="Kinds, joined by commas.")] = (
        "ridge,kernel_ridge,lightgbm,mlp"
    ),
    peers: Annotated[
        str, typer.Option(help="Of ridge, kernel_ridge, svr, lightgbm, mlp: plain ones too.")
    ] = "",
) -> None:
    """Print each head's mean Pearson out of fold, by fold, seconds and memory; then the stack's.

    Memory is that of the inputs and of all that a cross-fit takes beside them, in times the inputs.
    """
    x, y, people, bands = ferplus(2_000 if fast else rows)
    folds = assign_folds(people, 5, 0, y)
    some = slice(WARM_ROWS)  # first, so that libraries are loaded
    small_folds = assign_folds(people[some], 5, 0, y[some])
    small = FoldedView(x[some], y[some], people[some], small_folds, bands=bands)
    view = FoldedView(x, y, people, folds, copy=False, bands=bands)
    typer.echo(f"{describe()}\nFER+, {len(x)} x {x.shape[1]}, {len(TARGETS)} targets, five folds")
    members = []
    for kind in heads.split(","):
        head = make_head({"kind": kind}, 0, bands)
        expected_s = estimated_cost(head, *x.shape, len(TARGETS))
        head.cross_fit(small)
        return_freed_memory()
        more_mib, (seconds, fit) = peak_mib(lambda head=head: timed(head.cross_fit, view))
        times = 1 + more_mib / (view.inputs.nbytes / 2**20)
        members.append(fit.oof)
        score = mean_pearson(y, fit.oof, folds)
        took = f"{seconds:.1f} s, estimated {expected_s:.1f} s"
        typer.echo(f"{kind:16}{score:.4f}  {took}, memory {times:.1f} times")
    stacked = stack_oof(np.stack(members, axis=1), y, folds)
    typer.echo(f"{'stack':16}{mean_pearson(y, stacked, folds):.4f}")
    for name in peers.split(",") if peers else ():
        peer = plain_peers()[name]
        seconds, oof = timed(lambda peer=peer: plain_oof(peer, view))
        typer.echo(f"{'plain ' + name:16}{mean_pearson(y, oof, folds):.4f}  {seconds:.1f} s")


def ferplus(n_rows: int) -> tuple[NDArray[np.float32], Any, Any, tuple[int, ...]]:
    """Return gradients beside pixels, shares of votes, people, and columns of each encoder."""
    table = pd.read_parquet(SHARED / "ferplus.parquet")
    table = table.sample(min(n_rows, len(table)), random_state=0).sort_index()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(SHARED / "hog.py"), folder, "--limit", str(len(table))]
        run(command, check=True, capture_output=True)
        hog = np.load(Path(folder) / "hog.npy")
    faces = [Image.open(io.BytesIO(png)).convert("L") for png in table["png"]]
    small = [np.asarray(face.resize(PIXELS, Image.Resampling.BOX)).ravel() for face in faces]
    x = np.concatenate([hog, np.stack(small)], axis=1).astype(np.float32)
    votes = table[TARGETS + OTHERS].to_numpy(float)
    y = votes[:, : len(TARGETS)] / np.maximum(votes.sum(axis=1, keepdims=True), 1)
    return x, y, table["group"].astype(str).to_numpy(), (hog.shape[1], len(small[0]))


def plain_peers() -> dict[str, Any]:
    """Make what a user would write in a line."""
    from lightgbm import LGBMRegressor
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.linear_model import RidgeCV
    from sklearn.neural_network import MLPRegressor
    from sklearn.svm import SVR

    trees = {"learning_rate": 0.05, "n_estimators": 300, "num_leaves": 15}
    return {
        "ridge": RidgeCV(np.logspace(0, 6, 13), alpha_per_target=True),
        "kernel_ridge": KernelRidge(alpha=0.3, kernel="rbf"),
        "svr": SVR(),
        "lightgbm": LGBMRegressor(**trees, colsample_bytree=0.3, verbosity=-1),
        "mlp": MLPRegressor(early_stopping=True, random_state=0),
    }


def plain_oof(peer: Any, view: FoldedView) -> NDArray[np.float64]:
    """Predict each fold by a peer fitted on the others."""
    oof = np.empty_like(view.targets)
    for fold in view.folds:
        own = view.fold_of_row == fold
        oof[own] = plain_predict(peer, view.inputs[~own], view.targets[~own], view.inputs[own])
    return oof


def plain_predict(peer: Any, x: Any, y: NDArray[np.float64], new: Any) -> NDArray[np.float64]:
    """Fit a peer on standardised targets, one by one where it takes no more, and predict rows."""
    y = (y - y.mean(axis=0)) / y.std(axis=0)
    if type(peer).__name__ in SEVERAL:
        return np.asarray(clone(peer).fit(x, y).predict(new), np.float64)
    return np.stack([clone(peer).fit(x, each).predict(new) for each in y.T], axis=1)


if __name__ == "__main__":
    typer.run(main)
