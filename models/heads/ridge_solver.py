"""Ridge regressions on rows in folds: candidates are penalties, or mixtures of bands with them."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from models.device import fetch
from models.gram import FoldGram
from models.heads.penalties import CHOOSING_TOLERANCE, FINAL_TOLERANCE, Fitted
from models.ridge_system import System

Matrix = NDArray[np.float64]


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
    widths : tuple of int, optional
        Number of columns of each band.
    shares : array [n_mixtures, n_bands], optional
        Factors of the bands' own Gram matrices.
    """

    def __init__(
        self,
        gram: FoldGram,
        targets: Matrix,
        alphas: Matrix,
        widths: tuple[int, ...] | None = None,
        shares: Matrix | None = None,
    ) -> None:
        self.gram = gram
        self.targets = targets
        self.alphas = alphas
        self.widths = widths
        self.shares = shares

    @property
    def folds(self) -> Sequence[int]:
        """Numbers of the folds."""
        return self.gram.folds

    def errors(self, excluded: tuple[int, ...]) -> dict[int, Matrix]:
        """Squared errors on each excluded fold of every candidate [n_candidates, n_targets]."""
        errors: dict[int, list[Matrix]] = {fold: [] for fold in excluded}
        for system in self._systems(excluded):
            coef = system.solve(self.targets, self.alphas, CHOOSING_TOLERANCE)
            for fold in excluded:
                rows = self.gram.fold_of_row == fold
                errors[fold].append(system.squared_errors(coef, self.targets, rows))
        return {fold: np.concatenate(squares) for fold, squares in errors.items()}

    def fit(self, fold: int, chosen: NDArray[np.intp]) -> Fitted:
        """Fit without `fold` (`WHOLE`: on all) the candidate chosen for each target."""
        mixture_of_target, alpha_of_target = np.divmod(chosen, len(self.alphas))
        coef = np.empty((self.gram.inputs.shape[1], len(chosen)))
        intercept = np.empty(len(chosen))
        for mixture, system in enumerate(self._systems((fold,))):
            columns = np.flatnonzero(mixture_of_target == mixture)
            if not len(columns):
                continue
            numbers, place = np.unique(alpha_of_target[columns], return_inverse=True)
            targets = self.targets[:, columns]
            solved = fetch(system.solve(targets, self.alphas[numbers], FINAL_TOLERANCE))
            coef[:, columns] = solved[place, :, np.arange(len(columns))].T
            intercept[columns] = system.intercept(coef[:, columns], targets)
        return coef, intercept

    def _systems(self, excluded: tuple[int, ...]) -> Iterator[System]:
        if self.widths is None or self.shares is None:
            return iter([self.gram.system(excluded)])
        return self.gram.mixtures(excluded, self.widths, self.shares)
