"""Ridge regression for several targets, plain or banded; penalties chosen on grouped folds."""

from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import comb

import numpy as np
from sklearn.base import clone

from models.arrays import Floats32, Floats64, Groups, Numbers
from models.heads.base import Head, PositiveFloats, label_patterns
from models.ridge.equations import FoldGram
from models.ridge.penalties import (
    Fitted,
    RidgeCandidates,
    can_nest,
    choose,
    choose_for_all_folds,
    inner_folds,
)
from models.scaling import band_shares
from models.view import WHOLE, CrossFit, FoldedView

ALPHAS = tuple(10.0 ** (half / 2) for half in range(6, -5, -1))
MOST_MIXTURES = 10
FINEST = 4


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
    chosen_ : array of int [n_targets]
        Number of the candidate of each target.
    alpha_ : array [n_targets]
        The penalty of each target.
    """

    alphas: PositiveFloats = ALPHAS
    seed: int = 0

    @property
    def alpha_(self) -> Floats64:  # noqa: D102 (see the class)
        return np.sort(self.alphas)[::-1][self.chosen_ % len(self.alphas)]

    def _cross_fit(self, view: FoldedView) -> CrossFit:
        """Cross-fit from shared features; equal to a fit per fold, but for rounding."""
        if not can_nest(view):
            return super()._cross_fit(view)
        n_targets = view.targets.shape[1]
        predicted, whole = view.empty_predictions(), clone(self)
        whole._begin_fit(view.targets[view.labelled])
        whole._begin(view.inputs.shape[1], n_targets)
        # Coefficients are for targets as they are.
        whole.target_mean_, whole.target_scale_ = np.zeros(n_targets), np.ones(n_targets)
        for rows, columns in label_patterns(view.targets):
            fold_of_row = np.where(rows, view.fold_of_row, WHOLE)
            gram, targets = view.gram_of(fold_of_row >= 0), view.targets[:, columns]
            candidates = self._candidates(gram, targets)
            for fold, chosen in choose_for_all_folds(candidates):
                coef, intercept = candidates.fit(fold, chosen)
                if fold == WHOLE:
                    whole._keep(columns, (coef, intercept), chosen)
                else:
                    places = view.places(fold)
                    predicted[np.ix_(places, columns)] = view.inputs[places] @ coef + intercept
        predicted[view.places(WHOLE)] = whole._predict_scaled(view.held_inputs)
        return view.as_cross_fit(predicted, whole)

    def _fit(self, inputs: Floats32, targets: Floats64, groups: Groups) -> None:
        self._begin(inputs.shape[1], targets.shape[1])
        for rows, columns in label_patterns(targets):
            fold_of_row = np.full(len(rows), WHOLE, np.int64)
            fold_of_row[rows] = inner_folds(groups[rows], self.seed)
            candidates = self._candidates(FoldGram(inputs, fold_of_row), targets[:, columns])
            chosen = choose(candidates)
            self._keep(columns, candidates.fit(WHOLE, chosen), chosen)

    def _candidates(self, gram: FoldGram, targets: Floats64) -> RidgeCandidates:
        mixtures = self._mixtures(gram.inputs.shape[1])
        return RidgeCandidates(gram, targets, self.alphas, *mixtures)

    def _mixtures(self, n_columns: int) -> tuple[tuple[int, ...], Floats64 | None]:  # noqa: ARG002
        """Bands of columns, and mixtures of them to choose from; here none."""
        return (), None

    def _begin(self, n_columns: int, n_targets: int) -> None:
        self.chosen_ = np.zeros(n_targets, np.intp)
        self.coef_, self.intercept_ = np.zeros((n_columns, n_targets)), np.zeros(n_targets)

    def _keep(self, columns: Numbers, fitted: Fitted, chosen: Numbers) -> None:
        self.chosen_[columns] = chosen
        self.coef_[:, columns], self.intercept_[columns] = fitted

    def _predict(self, inputs: Floats32) -> Floats64:
        return inputs @ self.coef_ + self.intercept_


@dataclass(eq=False, repr=False)
class BandedRidgeHead(RidgeHead):
    """Ridge regression in which every band of columns (encoder) has a weight of its own.

    Bands are brought to equal variance and weighted; weights sum to 1. Each target takes the
    mixture of bands and the penalty that predict best on grouped folds (Nunez-Elizalde et al.,
    2019; Dupre la Tour et al., 2022). A band of weight 0 takes no part: where an encoder only adds
    noise, it costs nothing.

    Parameters
    ----------
    bands, alphas, seed
        As in `RidgeHead`.

    Attributes
    ----------
    weights_ : array [n_targets, n_bands]
        The mixture of each target.
    """

    weighs_bands = False  # but each target for itself

    @property
    def weights_(self) -> Floats64:  # noqa: D102 (see the class)
        return mixtures_of(max(1, len(self.bands)))[self.chosen_ // len(self.alphas)]

    def _mixtures(self, n_columns: int) -> tuple[tuple[int, ...], Floats64]:
        bands = self.bands or (n_columns,)
        # Of equal variance, and weighted; together they keep their variance.
        return bands, mixtures_of(len(bands)) / band_shares(bands)


def mixtures_of(n_bands: int) -> Floats64:
    """Weights of the bands to choose from [n_mixtures, n_bands], equal ones first.

    All ways to share out up to four equal parts among the bands, as finely as ten mixtures allow:
    each band alone is always among them.
    """
    fine = [n for n in range(1, FINEST + 1) if comb(n + n_bands - 1, n) <= MOST_MIXTURES]
    n_parts = max(fine, default=1)
    shares = [
        np.bincount(parts, minlength=n_bands) / n_parts
        for parts in combinations_with_replacement(range(n_bands), n_parts)
    ]
    equal = np.full(n_bands, 1 / n_bands)
    return np.stack([equal, *(share for share in shares if not np.allclose(share, equal))])
