"""Heads made of scikit-learn's regressors, on principal components of the view, for comparison.

Each adds a list of regressors that differ in one setting; gaps in targets and the choice among the
regressors are the same for all.
"""

import warnings
from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any

import joblib
import numpy as np
from pydantic import Field

from models.arrays import Floats32, Floats64, Groups, Numbers, label_patterns
from models.folds import inner_folds
from models.heads.base import PositiveFloats, PositiveInts, ProjectedHead, Range

LEAST_ROWS = 10
"""With fewer rows in an inner training set, a comparison of candidates would be a guess."""
VALUES_FOR_THREADS = 2**18
"""Below this many input values, starting threads costs more than they save."""


@dataclass(eq=False, repr=False)
class SklearnHead(ProjectedHead):
    """The best of several regressors, chosen for each target on grouped folds.

    Targets labelled in the same rows are fitted together. The choice takes the least squared error
    inside the training set. Subclasses implement `_candidates`. `n_components` and `seed` are those
    of `ProjectedHead`; the seed is that of the inner folds and of random trees too.
    """

    @abstractmethod
    def _candidates(self, n_rows: int, n_columns: int) -> list[Any]:
        """Return unfitted regressors for several targets, the most cautious first.

        That one is taken where there are too few rows to compare them. None may need more than
        `n_rows` rows.
        """

    def _fit(self, inputs: Floats32, targets: Floats64, groups: Groups) -> None:
        self.n_targets_ = targets.shape[1]
        self.regressors_: list[tuple[Numbers, Numbers, Any]] = []
        # Not so for predicting: threads would add up trees in the order they come in.
        n_jobs = -1 if inputs.size >= VALUES_FOR_THREADS else 1
        with joblib.parallel_config("threading", n_jobs=n_jobs), warnings.catch_warnings():
            # A candidate that does not converge, or has more factors than there is to explain, is
            # told by its error; a single target stays a column, which some take under protest.
            warnings.simplefilter("ignore")
            for rows, columns in label_patterns(targets):
                x, y = inputs[rows], targets[np.ix_(rows, columns)]
                chosen = self._choose(x, y, groups[rows])
                for number in np.unique(chosen):
                    regressor = _fitted(self._candidates(*x.shape)[number], x, y)
                    places = np.flatnonzero(chosen == number)
                    self.regressors_.append((columns[places], places, regressor))

    def _predict(self, inputs: Floats32) -> Floats64:
        predicted = np.empty((len(inputs), self.n_targets_))
        for columns, places, regressor in self.regressors_:
            predicted[:, columns] = _predictions(regressor, inputs)[:, places]
        return predicted

    def _choose(self, inputs: Floats32, targets: Floats64, groups: Groups) -> Numbers:
        """Return the number of the candidate of each target [n_targets]."""
        errors = np.zeros((len(self._candidates(*inputs.shape)), targets.shape[1]))
        fold_of_row = inner_folds(groups, self.seed)
        if len(errors) == 1 or len(inputs) - np.bincount(fold_of_row).max() < LEAST_ROWS:
            return np.zeros(targets.shape[1], dtype=np.intp)
        for fold in np.unique(fold_of_row):
            held = fold_of_row == fold
            x, y = inputs[~held], targets[~held]
            for number, regressor in enumerate(self._candidates(*x.shape)):
                predicted = _predictions(_fitted(regressor, x, y), inputs[held])
                errors[number] += np.square(predicted - targets[held]).sum(axis=0)
        best: Numbers = np.argmin(errors, axis=0)
        return best


@dataclass(eq=False, repr=False)
class ElasticNetHead(SklearnHead):
    """`ElasticNet` per target: linear regression that leaves columns out.

    Parameters
    ----------
    alphas : tuple of float
        Candidate penalties, for targets of standard deviation 1.
    l1_ratio : float
        Share of the penalty that is on absolute, not squared, coefficients.
    """

    alphas: PositiveFloats = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
    l1_ratio: Annotated[float, Field(gt=0, le=1), Range(0.05, 1.0)] = 0.5

    def _candidates(self, n_rows: int, n_columns: int) -> list[Any]:
        from sklearn.linear_model import ElasticNet

        # Inner products once for all targets, where that is the smaller matrix.
        shared = {"l1_ratio": self.l1_ratio, "precompute": n_rows > n_columns, "tol": 1e-3}
        return [ElasticNet(alpha=alpha, **shared) for alpha in sorted(self.alphas, reverse=True)]


@dataclass(eq=False, repr=False)
class LinearSVRHead(SklearnHead):
    """`LinearSVR` per target; errors count squared, which its solver is quick with.

    Parameters
    ----------
    costs : tuple of float
        Candidate weights of errors (C), for targets of standard deviation 1.
    epsilon : float
        Errors up to this size, in standard deviations of the target, cost nothing.
    """

    costs: PositiveFloats = (1e-4, 1e-3, 1e-2)
    epsilon: Annotated[float, Field(ge=0), Range(0.01, 1.0, log=True)] = 0.1

    def _candidates(self, n_rows: int, n_columns: int) -> list[Any]:  # noqa: ARG002
        from sklearn.multioutput import MultiOutputRegressor
        from sklearn.svm import LinearSVR

        # Without its dual there are no random numbers.
        shared = {"epsilon": self.epsilon, "loss": "squared_epsilon_insensitive", "tol": 1e-2}
        regressors = [LinearSVR(C=cost, dual=False, **shared) for cost in sorted(self.costs)]
        return [MultiOutputRegressor(each) for each in regressors]


@dataclass(eq=False, repr=False)
class NeighboursHead(SklearnHead):
    """`KNeighborsRegressor`: the mean of the nearest rows.

    Parameters
    ----------
    n_neighbours : tuple of int
        Candidates; none takes more than a third of the rows.
    """

    n_neighbours: PositiveInts = (300, 100, 30, 10)

    def _candidates(self, n_rows: int, n_columns: int) -> list[Any]:  # noqa: ARG002
        from sklearn.neighbors import KNeighborsRegressor

        numbers = [min(number, max(1, n_rows // 3)) for number in self.n_neighbours]
        # Search trees are no help in as many dimensions.
        return [KNeighborsRegressor(n, algorithm="brute") for n in sorted(numbers, reverse=True)]


@dataclass(eq=False, repr=False)
class PLSHead(SklearnHead):
    """`PLSRegression`: a few directions that matter to all targets.

    Parameters
    ----------
    n_factors : tuple of int
        Candidates; as many as rows or columns allow where these are fewer.
    """

    n_factors: PositiveInts = (1, 2, 4, 8, 16, 32)

    def _candidates(self, n_rows: int, n_columns: int) -> list[Any]:
        from sklearn.cross_decomposition import PLSRegression

        most = max(1, min(n_rows - 1, n_columns))
        return [PLSRegression(min(number, most), scale=False) for number in sorted(self.n_factors)]


@dataclass(eq=False, repr=False)
class RandomTreesHead(SklearnHead):
    """`ExtraTreesRegressor`: the mean of many random trees, each for all targets.

    Parameters
    ----------
    n_trees : int
        Number of trees.
    min_samples_leaf : int
        Least rows in a leaf: the fewer, the closer a tree follows its rows.
    max_features : float
        Share of columns tried at each split.
    """

    n_trees: Annotated[int, Field(ge=1)] = 100
    min_samples_leaf: Annotated[int, Field(ge=1), Range(2, 50, log=True)] = 10
    max_features: Annotated[float, Field(gt=0, le=1), Range(0.05, 1.0, log=True)] = 0.3

    def _candidates(self, n_rows: int, n_columns: int) -> list[Any]:  # noqa: ARG002
        from sklearn.ensemble import ExtraTreesRegressor

        shared = {"min_samples_leaf": self.min_samples_leaf, "max_features": self.max_features}
        return [ExtraTreesRegressor(self.n_trees, random_state=self.seed, **shared)]


def _fitted(regressor: Any, inputs: Floats32, targets: Floats64) -> Any:
    """Fit a regressor; where no input varies, which not all of them can bear, the mean."""
    from sklearn.dummy import DummyRegressor

    return (regressor if np.ptp(inputs, axis=0).any() else DummyRegressor()).fit(inputs, targets)


def _predictions(regressor: Any, inputs: Floats32) -> Floats64:
    """Predictions [n_rows, n_targets], also of regressors that drop the axis of a single target."""
    return np.asarray(regressor.predict(inputs), dtype=np.float64).reshape(len(inputs), -1)
