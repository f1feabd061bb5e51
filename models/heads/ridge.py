"""Ridge regression with one penalty per target, chosen on grouped folds."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from sklearn.base import clone

from models.arrays import Groups
from models.heads.base import Head, label_patterns
from models.ridge.candidates import RidgeCandidates
from models.ridge.gram import BandMixtures, FoldGram
from models.ridge.penalties import can_nest, choose, choose_for_all_folds, inner_folds
from models.view import WHOLE, CrossFit, FoldedView

ALPHAS = tuple(10.0 ** (half / 2) for half in range(6, -5, -1))


class RidgeHead(Head):
    """Multi-target ridge regression; the penalty of each target is chosen on grouped folds.

    Parameters
    ----------
    alphas : tuple of float
        Candidate penalties, as multiples of the mean eigenvalue of the Gram matrix of the
        standardised training rows (its trace / min(rows, columns)). So one grid, by default
        1e-2 ... 1e3 in half decades, means the same shrinkage for 1 column and for 16,000.
    seed : int
        Seed of the inner folds.
    """

    def __init__(
        self,
        alphas: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = ALPHAS,
        seed: int = 0,
    ) -> None:
        self.alphas = alphas
        self.seed = seed

    def cross_fit(self, view: FoldedView) -> CrossFit:
        """Cross-fit from one Gram matrix per fold; equal to a fit per fold, but for rounding."""
        if not can_nest(view):
            return super().cross_fit(view)
        predicted, mixtures = view.empty_predictions(), self._mixtures(view.inputs)
        whole = clone(self)
        # Coefficients are for targets as they are.
        whole.target_mean_, whole.target_scale_ = np.zeros((2, view.targets.shape[1]))
        whole.target_scale_ += 1
        whole._begin(view.inputs.shape[1], view.targets.shape[1])
        for rows, columns in label_patterns(view.targets):
            gram = view.gram_of(rows)
            family = RidgeCandidates(gram, view.targets[:, columns], self.alphas, mixtures)
            for fold, chosen in choose_for_all_folds(family):
                coef, intercept = family.fit(fold, chosen)
                if fold == WHOLE:
                    whole._note_choice(columns, family, chosen)
                    whole.coef_[:, columns], whole.intercept_[columns] = coef, intercept
                else:
                    places, inputs = view.left_out(fold)
                    predicted[np.ix_(places, columns)] = inputs @ coef + intercept
        predicted[view.places(WHOLE)] = whole._predict_scaled(view.held_inputs)
        return view.as_cross_fit(predicted, whole)

    def _fit(
        self, inputs: NDArray[np.float32], targets: NDArray[np.float64], groups: Groups
    ) -> None:
        self._begin(inputs.shape[1], targets.shape[1])
        for rows, columns in label_patterns(targets):
            y = targets[np.ix_(rows, columns)]
            gram = FoldGram(inputs[rows], inner_folds(groups[rows], self.seed))
            family = RidgeCandidates(gram, y, self.alphas, self._mixtures(inputs))
            chosen = choose(family)
            self._note_choice(columns, family, chosen)
            self.coef_[:, columns], self.intercept_[columns] = family.fit(WHOLE, chosen)

    def _begin(self, n_columns: int, n_targets: int) -> None:
        """Make room for what is learned."""
        self.alpha_ = np.empty(n_targets)
        self.coef_ = np.empty((n_columns, n_targets))
        self.intercept_ = np.empty(n_targets)

    def _mixtures(self, inputs: NDArray[np.float32]) -> BandMixtures | None:  # noqa: ARG002
        """Mixtures of bands of the columns to choose from; here the columns are as they are."""
        return None

    def _note_choice(
        self, columns: NDArray[np.intp], family: RidgeCandidates, chosen: NDArray[np.intp]
    ) -> None:
        """Keep for the user what was chosen for the targets numbered `columns`."""
        self.alpha_[columns] = family.alphas[chosen]

    def _predict(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        return inputs.astype(np.float64) @ self.coef_ + self.intercept_
