"""Ridge regressions on rows in folds: candidates are penalties, or mixtures of bands with them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.ridge.gram import BandMixtures, FoldGram
from models.ridge.penalties import CHOOSING_TOLERANCE, FINAL_TOLERANCE, Fitted

Floats64 = NDArray[np.float64]


class RidgeCandidates:
    """Ridge regressions of the same targets on all training sets of folds.

    Penalties are multiples of the mean eigenvalue of the centred Gram matrix in use; that is its
    trace / min(n_rows, n_columns). Intercepts are not penalised.

    Candidate number ``m * n_alphas + a`` is mixture m with penalty a. Penalties are tried from the
    largest down: where two predict alike, the first is taken, which shrinks more.

    Parameters
    ----------
    gram : FoldGram
        Of the rows that are labelled.
    targets : array [n_rows, n_targets]
        Without NaN where a row is in a fold.
    alphas : sequence of float
        In any order.
    mixtures : BandMixtures, optional
        By default a single one, the columns as they are.
    """

    def __init__(
        self,
        gram: FoldGram,
        targets: Floats64,
        alphas: Sequence[float],
        mixtures: BandMixtures | None = None,
    ) -> None:
        self.gram, self.targets, self.mixtures = gram, targets, mixtures
        self.alphas = np.sort(np.asarray(alphas, dtype=np.float64))[::-1]

    @property
    def folds(self) -> Sequence[int]:
        """Numbers of the folds."""
        return self.gram.folds

    def errors(self, excluded: tuple[int, ...]) -> dict[int, Floats64]:
        """Squared errors on each excluded fold of every candidate [n_candidates, n_targets]."""
        n_mixtures = 1 if self.mixtures is None else len(self.mixtures.shares)
        n_alphas, n_targets = len(self.alphas), self.targets.shape[1]
        equations = self.gram.equations(excluded, self.mixtures)
        mixture = np.repeat(np.arange(n_mixtures), n_targets)
        targets = np.tile(self.targets, n_mixtures)
        ascending = np.repeat(self.alphas[::-1, None], len(mixture), axis=1)
        solutions = equations.solve(targets, mixture, ascending, CHOOSING_TOLERANCE)
        errors = {}
        for fold in excluded:
            rows = self.gram.fold_of_row == fold
            squares = equations.squared_errors(solutions, targets, mixture, rows)[::-1]
            squares = squares.reshape(n_alphas, n_mixtures, n_targets).swapaxes(0, 1)
            errors[fold] = squares.reshape(-1, n_targets)
        return errors

    def fit(self, fold: int, chosen: NDArray[np.intp]) -> Fitted:
        """Fit without `fold` (`WHOLE`: on all) the candidate chosen for each target."""
        mixture, alpha = np.divmod(chosen, len(self.alphas))
        equations = self.gram.equations((fold,), self.mixtures)
        alphas = self.alphas[alpha][None]
        (solutions,) = equations.solve(self.targets, mixture, alphas, FINAL_TOLERANCE)
        coef = equations.coefficients(solutions, mixture).astype(np.float64)
        return coef, equations.intercepts(coef, self.targets)
