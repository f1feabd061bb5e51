"""How long heads take, from shapes: to fit the cheap ones first and say what is left."""

import math

from models.heads.base import Head, MeanHead, ProjectedHead
from models.heads.kernel import MOST_LANDMARKS, KernelHead, KernelRidgeHead, n_axes_for
from models.heads.lightgbm import LightGBMHead, columns_per_tree
from models.heads.linear import RidgeHead
from models.heads.mlp import MLPHead

N_FITS = 6
"""Five folds and all rows."""
FLOPS = 5e10
"""Products of matrices on two cores, in operations per second."""


def estimated_cost(head: Head, n_rows: int, n_columns: int, n_targets: int) -> float:
    """Estimate the seconds that a head takes out of fold, with a refit on all rows.

    For five folds and two cores that do nothing else; within a factor of about three, which is
    enough to put heads in order. Beside other processes, scale by what the first heads took.

    Parameters
    ----------
    head : Head
        Unfitted; its settings count.
    n_rows, n_columns, n_targets : int
        Of the view.
    """
    smaller = min(n_rows, n_columns)
    gram_s = n_rows * n_columns * smaller / FLOPS
    if isinstance(head, MeanHead):
        return 0.01
    if isinstance(head, KernelHead):
        n_axes, m = n_axes_for(n_rows, n_columns), min(n_rows, MOST_LANDMARKS)
        axes_s = gram_s if n_axes < n_columns else 0.0
        features_s = (n_rows * m * (2 * n_axes + 4 * m) + 16 * 600 * m**2) / FLOPS
        product_s = n_rows**2 * (n_axes + 2 * N_FITS * n_targets + 50) / FLOPS
        steps = 8 if isinstance(head, KernelRidgeHead) else 12
        return axes_s + features_s + steps * product_s
    if isinstance(head, RidgeHead):
        return gram_s + 16 * 400 * n_targets * smaller**2 / FLOPS
    if isinstance(head, LightGBMHead):
        most = columns_per_tree(n_rows)
        chosen = min(n_columns, 0.7 * n_targets * max(head.columns_per_target, 2 * most))
        drawn = min(head.feature_fraction * chosen, most)
        tree_s = 8e-4 + 8e-10 * (n_rows + 1500) * drawn * math.log2(head.num_leaves)
        binning_s = 1e-7 * n_rows * chosen
        return gram_s + N_FITS * (binning_s + n_targets * head.n_rounds * tree_s / 2)
    width = n_columns
    if isinstance(head, ProjectedHead):
        width = min(width, head.components_for(n_rows * 4 // 5) or width)
    if isinstance(head, MLPHead):
        weights = (width + n_targets) * sum(head.hidden)
        steps = 30 * N_FITS * head.n_seeds * n_rows
        return gram_s + steps * weights * 6 / (FLOPS / 4)
    # scikit-learn's: several candidates on each of five inner folds.
    return gram_s + 5 * N_FITS * n_targets * n_rows * width * 2e-8
