"""Ridge regression with one penalty per target, chosen on grouped folds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.arrays import Ints
from models.heads.base import PositiveFloats
from models.heads.linear import LinearHead
from models.ridge.candidates import RidgeCandidates
from models.ridge.gram import BandMixtures, FoldGram
from models.view import FoldedView

Matrix = NDArray[np.float64]

ALPHAS = tuple(10.0 ** (half / 2) for half in range(6, -5, -1))


@dataclass(eq=False, repr=False)
class RidgeHead(LinearHead):
    """Multi-target ridge regression; the penalty of each target is chosen on grouped folds.

    Parameters
    ----------
    alphas : tuple of float
        Candidate penalties, as multiples of the mean eigenvalue of the Gram matrix of the
        standardised training rows (its trace / min(rows, columns)). So one grid, by default
        1e-2 ... 1e3 in half decades, means the same shrinkage for 1 column and for 16,000.
    seed : int
        Seed of the inner folds.

    Attributes
    ----------
    alpha_ : array [n_targets]
        The penalty of each target.
    """

    alphas: PositiveFloats = ALPHAS
    seed: int = 0

    @property
    def alpha_(self) -> Matrix:  # noqa: D102 (see the class)
        return np.sort(self.alphas)[::-1][self.chosen_ % len(self.alphas)]

    def _candidates(
        self,
        inputs: NDArray[np.float32],
        fold_of_row: Ints,
        targets: Matrix,
        view: FoldedView | None = None,
    ) -> tuple[None, NDArray[np.float32], RidgeCandidates]:
        gram = FoldGram(inputs, fold_of_row) if view is None else view.gram_of(fold_of_row >= 0)
        mixtures = self._mixtures(inputs.shape[1])
        return None, inputs, RidgeCandidates(gram, targets, self.alphas, mixtures)

    def _mixtures(self, n_columns: int) -> BandMixtures | None:  # noqa: ARG002
        """Mixtures of bands of columns to choose from; here the columns are as they are."""
        return None
