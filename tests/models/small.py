"""What tests of heads share: quick settings, a small table, and one fit per fold, slow as it is."""

from copy import copy

import numpy as np

from models.folds import WHOLE
from models.heads import HEADS

QUICK = {
    "lightgbm": {"n_rounds": 20},
    "mlp": {"max_epochs": 8, "learning_rate": 0.01, "n_seeds": 2},
    "pls": {"n_factors": (1, 3)},
    "random_trees": {"n_trees": 30},
}
ENTRIES = {kind: {"kind": kind, **QUICK.get(kind, {})} for kind in HEADS}
"""An entry of params.yaml for every kind."""


def clips(n_rows=90, n_columns=6, noise=0.1, gaps=False, n_people=12):
    """Draw inputs, three targets that their first columns tell, and people."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n_rows, n_columns)).astype(np.float32)
    y = 0.5 + 0.2 * x[:, :3] + noise * rng.normal(size=(n_rows, 3))
    if gaps:
        x[::7, : n_columns // 2] = np.nan
        y[::5, 1], y[3:9] = np.nan, np.nan
    return x, y, rng.integers(n_people, size=n_rows)


def plain_cross_fit(head, view):
    """Return what a loop over the folds gives: out of fold, and for held-out rows."""
    predicted = view.empty_predictions()
    for fold in [*view.folds, WHOLE]:
        rows, alone = view.training_rows(fold), copy(view)
        alone.inputs, alone.targets, alone.labelled = (
            each[rows] for each in (view.inputs, view.targets, view.labelled)
        )
        alone.groups = alone.fold_of_row = view.fold_of_row[rows]
        alone._grams, alone._projections = {}, {}
        (fitted,) = head._fit_folds(alone, [WHOLE])
        places, inputs = view.left_out(fold)
        predicted[places] = fitted._predict_scaled(inputs)
    return np.split(predicted, [len(view.inputs)])
