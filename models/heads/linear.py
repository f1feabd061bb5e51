"""Ridge regression for several targets; penalties chosen on grouped folds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from sklearn.base import clone

from models.arrays import Floats32, Floats64
from models.heads.base import Head, PositiveFloats
from models.ridge.penalties import RidgeCandidates, choose
from models.view import FoldedView

ALPHAS = tuple(10.0 ** (half / 2) for half in range(6, -5, -1))


@dataclass(eq=False, repr=False)
class RidgeHead(Head):
    """Multi-target ridge regression; the penalty of each target is chosen on grouped folds.

    In a cross-fit, Gram matrices are computed once for all folds.

    Parameters
    ----------
    bands : tuple of int
        As in `Head`.
    alphas : tuple of float
        Candidate penalties, as multiples of the mean eigenvalue of the Gram matrix of the
        standardised training rows (its trace / min(rows, columns)). So one grid, by default
        1e-2 ... 1e3 in half decades, means the same shrinkage for 1 column and for 16,000.
    seed : int
        Seed of the inner folds.

    Attributes
    ----------
    alpha_ : array of float [n_targets]
        The penalty of each target that is fitted.
    """

    alphas: PositiveFloats = ALPHAS
    seed: int = 0

    def _fit_folds(self, view: FoldedView, folds: Sequence[int]) -> Iterator[Self]:
        """Fit all training sets from shared features; equal to fits by themselves."""
        heads, n_columns = {fold: clone(self) for fold in folds}, view.inputs.shape[1]
        for fold, head in heads.items():
            head._begin_fit(view.targets[view.training_rows(fold)])
            n = len(head.fitted_)
            head.alpha_, head.coef_, head.intercept_ = (
                np.ones(n),
                np.zeros((n_columns, n)),
                np.zeros(n),
            )
        of_all = clone(self)  # one scale of targets for all, whatever they are predicted in
        of_all._begin_fit(view.targets[view.labelled])
        targets = (view.targets - of_all.target_mean_) / of_all.target_scale_
        for fold_of_row, columns, without in view.searches(folds, self.seed):
            gram = view.gram_of(fold_of_row)
            candidates = RidgeCandidates(gram, targets[:, columns], self.alphas)
            for fold, left_out in without.items():
                head, chosen = heads[fold], choose(candidates, left_out)
                head.target_mean_[columns] = of_all.target_mean_[columns]
                head.target_scale_[columns] = of_all.target_scale_[columns]
                own = np.searchsorted(head.fitted_, columns)
                head.alpha_[own] = candidates.alphas[chosen]
                head.coef_[:, own], head.intercept_[own] = candidates.fit(left_out, chosen)
        yield from heads.values()

    def _predict(self, inputs: Floats32) -> Floats64:
        predicted: Floats64 = inputs @ self.coef_ + self.intercept_
        return predicted
