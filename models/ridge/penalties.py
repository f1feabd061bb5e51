"""Penalties of ridge regressions, chosen on folds: one search for all training sets at once.

For every training set the penalty of a target is the one with the least squared error on folds that
were left out of it, one at a time. Sets that lack two folds serve twice, once for either fold.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from models.arrays import Floats, Floats64, Groups, Ints, Numbers, group_codes
from models.folds import assign_folds
from models.ridge.equations import FoldGram
from models.view import WHOLE, FoldedView

N_INNER_FOLDS = 5
MOST_INNER_FOLDS = 10
CHOOSING_TOLERANCE = 3e-2
"""Residual of the solutions that candidates are compared by: even 0.1 chose the same ones."""
FINAL_TOLERANCE = 3e-5
"""Residual of the solution that is kept. With 1e-5, which float32 hardly reaches, thousands of rows
take three times as long."""

Fitted = tuple[Floats, Floats64]
"""Coefficients [n_columns, n_targets] and intercepts [n_targets]."""


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
    bands, shares : optional
        Mixtures, as in `FoldGram.equations`.
    """

    def __init__(
        self,
        gram: FoldGram,
        targets: Floats64,
        alphas: Sequence[float],
        bands: tuple[int, ...] = (),
        shares: Floats64 | None = None,
    ) -> None:
        self.folds = gram.folds
        self._gram, self._targets, self._mixtures = gram, targets, (bands, shares)
        self._alphas = np.sort(np.asarray(alphas, dtype=np.float64))[::-1]
        self._n_mixtures = 1 if shares is None else len(shares)

    def errors(self, excluded: tuple[int, ...]) -> dict[int, Floats64]:
        """Fit without the excluded folds; squared errors on each [n_candidates, n_targets]."""
        n_targets = self._targets.shape[1]
        equations = self._gram.equations(excluded, *self._mixtures)
        mixture = np.repeat(np.arange(self._n_mixtures), n_targets)
        targets = np.tile(self._targets, self._n_mixtures)
        ascending = np.repeat(self._alphas[::-1, None], len(mixture), axis=1)
        solutions = equations.solve(targets, mixture, ascending, CHOOSING_TOLERANCE)
        errors = {}
        for fold in excluded:
            rows = self._gram.fold_of_row == fold
            squares = equations.squared_errors(solutions, targets, mixture, rows)[::-1]
            by_mixture = np.split(squares, self._n_mixtures, axis=1)
            errors[fold] = np.concatenate(by_mixture)
        return errors

    def fit(self, fold: int, chosen: Numbers) -> Fitted:
        """Fit without `fold` (`WHOLE`: on all) the candidate chosen for each target."""
        mixture, alpha = np.divmod(chosen, len(self._alphas))
        equations = self._gram.equations((fold,), *self._mixtures)
        alphas = self._alphas[alpha][None]
        (solutions,) = equations.solve(self._targets, mixture, alphas, FINAL_TOLERANCE)
        coef = equations.coefficients(solutions, mixture).astype(np.float64)
        return coef, equations.intercepts(coef, self._targets)


def can_nest(view: FoldedView) -> bool:
    """Whether every target can be compared on pairs of folds, as `choose_for_all_folds` does.

    It takes three folds or more, all with labels of every target; and few enough that a fit by
    itself, given the folds as groups, would not merge them.
    """
    folds = view.folds
    if not 3 <= len(folds) <= MOST_INNER_FOLDS + 1:
        return False
    labelled = ~np.isnan(view.targets)
    return all(labelled[view.fold_of_row == fold].any(axis=0).all() for fold in folds)


def choose_for_all_folds(family: RidgeCandidates) -> Iterator[tuple[int, Numbers]]:
    """Yield each fold, last `WHOLE`, and the best candidates [n_targets] for its training set.

    Inside the training set that lacks fold a, candidates are compared on every other fold b, by
    fits that saw neither a nor b: nested cross-validation over one set of folds.
    """
    totals: dict[int, Floats64] = {fold: np.zeros(1) for fold in family.folds}
    for first, second in combinations(family.folds, 2):
        errors = family.errors((first, second))
        totals[first] = totals[first] + errors[second]
        totals[second] = totals[second] + errors[first]
    for fold in family.folds:
        yield fold, np.argmin(totals[fold], axis=0)
    yield WHOLE, choose(family)


def choose(family: RidgeCandidates) -> Numbers:
    """Choose the candidate of each target for all rows [n_targets].

    By squared error, not correlation: it adds up over rows, so small folds stay comparable, and it
    notices too little shrinkage, which correlation cannot see. The first of equal ones is taken.
    """
    errors = [family.errors((fold,))[fold] for fold in family.folds]
    best: Numbers = np.argmin(np.sum(errors, axis=0), axis=0)
    return best


def inner_folds(groups: Groups, seed: int) -> Ints:
    """Folds by group for choosing: one per group, or five where there are many groups.

    With a single group, each row is its own group.
    """
    codes = group_codes(groups)
    if codes.max() == 0:
        codes = np.arange(len(codes))
    n_groups = int(codes.max()) + 1
    return codes if n_groups <= MOST_INNER_FOLDS else assign_folds(codes, N_INNER_FOLDS, seed)
