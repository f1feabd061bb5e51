"""Penalties of ridge regressions, chosen on folds: one search for all training sets at once.

For every training set the penalty of a target is the one with the least squared error on folds that
were left out of it, one at a time. Sets that lack two folds serve twice, once for either fold.
"""

from collections.abc import Sequence

import numpy as np

from models.arrays import Floats, Floats64, Numbers
from models.ridge.equations import FoldGram, RidgeEquations

CHOOSING_TOLERANCE = 0.1
"""Residual of the solutions that candidates are compared by: it chose what exact ones choose on 700
to 6,000 faces of FER+ and on CREMA-D, as 0.03 did, which takes half as long again."""
FINAL_TOLERANCE = 3e-5
"""Residual of the solution that is kept. With 1e-5, which float32 hardly reaches, thousands of rows
take three times as long."""

Fitted = tuple[Floats, Floats64]
"""Coefficients [n_columns, n_targets] and intercepts [n_targets]."""


class RidgeCandidates:
    """Ridge regressions of the same targets on all training sets of folds.

    Penalties are multiples of the mean eigenvalue of the centred Gram matrix in use; that is its
    trace / min(n_rows, n_columns). Intercepts are not penalised. Candidates are numbered from the
    largest penalty down: where two predict alike, the first is taken, which shrinks more.

    Parameters
    ----------
    gram : FoldGram
        Of the rows that are labelled.
    targets : array [n_rows, n_targets]
        Without NaN where a row is in a fold.
    alphas : sequence of float
        In any order.
    """

    def __init__(self, gram: FoldGram, targets: Floats64, alphas: Sequence[float]) -> None:
        self.folds = gram.folds
        self.alphas: Floats64 = np.sort(np.asarray(alphas, dtype=np.float64))[::-1]
        self._offset = targets[gram.fold_of_row >= 0].mean(axis=0)  # products of it lose digits
        self._gram, self._targets = gram, targets - self._offset
        self._products = gram.products(self._targets)
        self._errors: dict[tuple[int, ...], dict[int, Floats64]] = {}

    def errors(self, excluded: tuple[int, ...]) -> dict[int, Floats64]:
        """Fit without the excluded folds; squared errors on each [n_candidates, n_targets]."""
        if excluded not in self._errors:
            alphas = np.repeat(self.alphas[:, None], self._targets.shape[1], axis=1)
            equations, solutions = self._solve(excluded, alphas, CHOOSING_TOLERANCE)
            self._errors[excluded] = {
                fold: equations.squared_errors(
                    solutions, self._targets, self._gram.fold_of_row == fold
                )
                for fold in excluded
            }
        return self._errors[excluded]

    def fit(self, fold: int, chosen: Numbers) -> Fitted:
        """Fit without `fold` (`WHOLE`: on all) the candidate chosen for each target."""
        equations, solutions = self._solve((fold,), self.alphas[chosen][None], FINAL_TOLERANCE)
        coef = equations.coefficients(solutions[0]).astype(np.float64)
        return coef, equations.intercepts(coef, self._targets) + self._offset

    def _solve(
        self, excluded: tuple[int, ...], alphas: Floats64, tolerance: float
    ) -> tuple[RidgeEquations, Floats]:
        equations = self._gram.equations(excluded)
        kept = [each for fold, each in self._products.items() if fold not in excluded]
        products = np.sum(kept, axis=0)
        return equations, equations.solve(self._targets, products, alphas, tolerance)


def errors_without(candidates: RidgeCandidates, fold: int) -> Floats64:
    """Squared errors of the candidates for the training set that lacks a fold (`WHOLE`: all rows).

    On every other fold, by fits that saw neither: nested cross-validation over one set of folds.
    Returns their sum [n_candidates, n_targets].
    """
    total = np.zeros(1)
    for other in candidates.folds:
        if other != fold:
            pair = tuple(sorted({fold, other}.intersection(candidates.folds)))
            total = total + candidates.errors(pair)[other]
    return total


def choose(candidates: RidgeCandidates, fold: int) -> Numbers:
    """Choose the candidate of each target [n_targets] for the training set that lacks a fold.

    By squared error, not correlation: it adds up over rows, so small folds stay comparable, and it
    notices too little shrinkage, which correlation cannot see. The first of equal ones is taken.
    """
    best: Numbers = np.argmin(errors_without(candidates, fold), axis=0)
    return best
