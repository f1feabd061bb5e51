"""What tests of heads share: settings that are quick, and one fit per fold, as slow as it is."""

import numpy as np

from models.heads import HEADS, Head
from models.view import WHOLE

QUICK = {
    "lightgbm": {"n_rounds": 20},
    "mlp": {"max_epochs": 20, "n_seeds": 2},
    "pls": {"n_factors": (1, 3)},
    "random_trees": {"n_trees": 30},
}
ENTRIES = {kind: {"kind": kind, **QUICK.get(kind, {})} for kind in HEADS}
"""An entry of params.yaml for every kind."""


def plain_cross_fit(head, view):
    """Return what a loop over the folds gives: out of fold, and for held-out rows."""
    predicted = view.empty_predictions()
    for fold in [*view.folds, WHOLE]:
        (fitted,) = Head._fit_folds(head, view, [fold])
        places, inputs = view.left_out(fold)
        predicted[places] = fitted._predict_scaled(inputs)
    return np.split(predicted, [len(view.inputs)])
