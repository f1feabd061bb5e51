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
                squares = system.squared_errors(coef, self.targets, rows)
                errors[fold].extend(squares)
        return {fold: np.concatenate(squares) for fold, squares in errors.items()}

    def fit(self, fold: int, chosen: NDArray[np.intp]) -> Fitted:
        """Fit without `fold` (`WHOLE`: on all) the candidate chosen for each target."""
        mixture_of_target, alpha_of_target = np.divmod(chosen, len(self.alphas))
        mixtures, mixture_place = np.unique(mixture_of_target, return_inverse=True)
        numbers, alpha_place = np.unique(alpha_of_target, return_inverse=True)
        coef = np.empty((self.gram.inputs.shape[1], len(chosen)))
        first = 0
        for system in self._systems((fold,), mixtures):
            solved = fetch(system.solve(self.targets, self.alphas[numbers], FINAL_TOLERANCE))
            here = (mixture_place >= first) & (mixture_place < first + len(solved))
            own = np.flatnonzero(here)
            coef[:, own] = solved[mixture_place[own] - first, alpha_place[own], :, own].T
            first += len(solved)
        return coef, system.intercept(coef, self.targets)

    def _systems(
        self, excluded: tuple[int, ...], mixtures: NDArray[np.intp] | None = None
    ) -> Iterator[System]:
        """All mixtures, or those numbered; in order, one or more to a system."""
        if self.widths is None or self.shares is None:
            return iter([self.gram.system(excluded)])
        shares = self.shares if mixtures is None else self.shares[mixtures]
        return self.gram.mixtures(excluded, self.widths, shares)
