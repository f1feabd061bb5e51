"""Linear support vector regression."""

from typing import Annotated, Any

import joblib
import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from sklearn.multioutput import MultiOutputRegressor
from sklearn.svm import LinearSVR

from models.arrays import Groups
from models.heads.search import Range
from models.heads.sklearn_head import SklearnHead, n_jobs

COSTS = (1e-4, 1e-3, 1e-2)


class LinearSVRHead(SklearnHead):
    """scikit-learn's `LinearSVR` per target; the weight of errors chosen on grouped folds.

    Errors beyond epsilon count squared, which the solver is quick with.

    Parameters
    ----------
    n_components : int, optional
        Principal components kept; a view with no more columns is used as it is. None: the columns,
        which takes long where there are thousands.
    costs : tuple of float
        Candidate weights of errors (C), for targets of standard deviation 1.
    epsilon : float
        Errors up to this size, in standard deviations of the target, cost nothing.
    seed : int
        Seed of the projection and of the inner folds.
    """

    def __init__(
        self,
        n_components: Annotated[int, Field(ge=1)] | None = 128,
        costs: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = COSTS,
        epsilon: Annotated[float, Field(ge=0), Range(0.01, 1.0, log=True)] = 0.1,
        seed: int = 0,
    ) -> None:
        self.n_components = n_components
        self.costs = costs
        self.epsilon = epsilon
        self.seed = seed

    def _fit(
        self, inputs: NDArray[np.float32], targets: NDArray[np.float64], groups: Groups
    ) -> None:
        with joblib.parallel_config("threading", n_jobs=n_jobs(inputs)):
            super()._fit(inputs, targets, groups)

    def _candidates(self, n_rows: int, n_columns: int) -> list[Any]:  # noqa: ARG002
        return [
            MultiOutputRegressor(
                LinearSVR(
                    epsilon=self.epsilon,
                    loss="squared_epsilon_insensitive",
                    C=cost,
                    dual=False,  # no random numbers
                    tol=1e-2,
                ),
            )
            for cost in sorted(self.costs)
        ]
