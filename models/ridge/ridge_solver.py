"""Ridge regressions on rows in folds: candidates are penalties, or mixtures of bands with them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.device import fetch
from models.ridge.forms import Matrix
from models.ridge.gram import FoldGram, Mixtures
from models.ridge.penalties import CHOOSING_TOLERANCE, FINAL_TOLERANCE, Fitted


class FoldedRidge:
    """Ridge regressions of the same targets on all training sets of folds.

    Penalties are multiples of the mean eigenvalue of the centred Gram matrix in use; that is its
    trace / min(n_rows, n_columns), the same on both sides. Intercepts are not penalised.

    Candidate number m * n_alphas + a is mixture m with penalty a; without bands there is one
    mixture, the columns as they are. A mixture scales the columns of each band.

    Parameters
    ----------
    gram : FoldGram
        Of the rows that are labelled.
    targets : array [n_rows, n_targets]
        Without NaN where a row is in a fold.
    alphas : array [n_alphas]
    mixtures : Mixtures, optional
        Of bands of columns.
    """

    def __init__(
        self,
        gram: FoldGram,
        targets: Matrix,
        alphas: Matrix,
        mixtures: Mixtures | None = None,
    ) -> None:
        self.gram = gram
        self.targets = targets
        self.alphas = alphas
        self.mixtures = mixtures

    @property
    def folds(self) -> Sequence[int]:
        """Numbers of the folds."""
        return self.gram.folds

    def errors(self, excluded: tuple[int, ...]) -> dict[int, Matrix]:
        """Squared errors on each excluded fold of every candidate [n_candidates, n_targets]."""
        system = self.gram.system(excluded, self.mixtures)
        solutions = system.solve(self.targets, self.alphas, CHOOSING_TOLERANCE)
        errors = {}
        for fold in excluded:
            rows = self.gram.fold_of_row == fold
            squares = system.squared_errors(solutions, self.targets, rows)
            errors[fold] = squares.reshape(-1, self.targets.shape[1])
        return errors

    def fit(self, fold: int, chosen: NDArray[np.intp]) -> Fitted:
        """Fit without `fold` (`WHOLE`: on all) the candidate chosen for each target."""
        mixture_of_target, alpha_of_target = np.divmod(chosen, len(self.alphas))
        numbers, mixture = np.unique(mixture_of_target, return_inverse=True)
        alphas, alpha = np.unique(alpha_of_target, return_inverse=True)
        used = self.mixtures and replace(self.mixtures, shares=self.mixtures.shares[numbers])
        system = self.gram.system((fold,), used)
        solutions = system.solve(self.targets, self.alphas[alphas], FINAL_TOLERANCE)
        coef = fetch(system.coefficients(solutions))
        own = coef[mixture, alpha, :, np.arange(len(chosen))].T.astype(np.float64)
        return own, system.intercept(own, self.targets)
