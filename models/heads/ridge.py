"""Ridge regression with one penalty per target, chosen on grouped folds."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from models.arrays import Groups, group_codes
from models.folds import assign_folds
from models.heads.base import Head, label_patterns
from models.heads.ridge_solver import RidgeProblem

ALPHAS = tuple(10.0 ** (half / 2) for half in range(-8, 9))


class RidgeHead(Head):
    """Multi-target ridge regression; the penalty of each target is chosen on grouped folds.

    Parameters
    ----------
    alphas : tuple of float
        Candidate penalties, as multiples of the mean eigenvalue of the Gram matrix of the
        standardised training rows (its trace / min(rows, columns)). So one grid, by default
        1e-4 ... 1e4 in half decades, means the same shrinkage for 1 column and for 16,000.
    n_folds : int
        Inner folds for choosing; fewer when there are fewer groups. With a single group, each
        row is its own group.
    seed : int
        Seed of the inner folds.
    """

    def __init__(
        self,
        alphas: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = ALPHAS,
        n_folds: Annotated[int, Field(ge=2)] = 5,
        seed: int = 0,
    ) -> None:
        self.alphas = alphas
        self.n_folds = n_folds
        self.seed = seed

    def _fit(
        self, inputs: NDArray[np.float32], targets: NDArray[np.float64], groups: Groups
    ) -> None:
        n_columns, n_targets = inputs.shape[1], targets.shape[1]
        self.alpha_ = np.empty(n_targets)
        self.coef_ = np.empty((n_columns, n_targets))
        self.intercept_ = np.empty(n_targets)
        # Largest first: where penalties tie, shrink more.
        alphas = np.sort(np.asarray(self.alphas, dtype=np.float64))[::-1]
        for rows, columns in label_patterns(targets):
            problem = RidgeProblem(inputs[rows], targets[np.ix_(rows, columns)])
            chosen = alphas[self._choose(problem, alphas, groups[rows])]
            coef, intercept = problem.solve(chosen)
            self.alpha_[columns] = chosen
            self.coef_[:, columns] = coef
            self.intercept_[columns] = intercept

    def _choose(
        self, problem: RidgeProblem, alphas: NDArray[np.float64], groups: Groups
    ) -> NDArray[np.intp]:
        """Index of the best penalty of each target.

        By squared error, not correlation: it adds up over rows, so small folds stay comparable,
        and it notices too little shrinkage, which correlation cannot see.
        """
        codes = group_codes(groups)
        if codes.max() == 0:
            codes = np.arange(len(codes))
        n_folds = min(self.n_folds, int(codes.max()) + 1)
        fold_of_row = assign_folds(codes, n_folds, self.seed)
        errors = [problem.squared_errors(fold_of_row == fold, alphas) for fold in range(n_folds)]
        best: NDArray[np.intp] = np.argmin(np.sum(errors, axis=0), axis=0)
        return best

    def _predict(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        return inputs.astype(np.float64) @ self.coef_ + self.intercept_
