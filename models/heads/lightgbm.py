"""Gradient-boosted trees on a projection of the view."""

from typing import Annotated, Any

import joblib
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from models.arrays import Groups
from models.heads.base import ProjectedHead

ROWS_PER_THREAD = 4000
"""Below this many rows per thread, starting threads costs more than they save."""


class LightGBMHead(ProjectedHead):
    """One LightGBM booster per target, all on one projection of the inputs.

    Trees on thousands of embedding columns are slow and overfit, so the columns are first
    projected to principal components (fitted on the training rows). Results do not depend on the
    number of threads (`deterministic`).

    Parameters
    ----------
    n_components : int
        Principal components kept; a view with no more columns is used as it is.
    n_rounds : int
        Trees per target.
    learning_rate, num_leaves, min_child_samples, lambda_l2 : float or int
        As in LightGBM. The defaults are small trees, which hold from 50 rows to 15,000.
    feature_fraction, bagging_fraction : float
        Share of columns and of rows drawn for each tree.
    seed : int
        Seed of the projection and of the draws.
    """

    def __init__(
        self,
        n_components: Annotated[int, Field(ge=1)] = 64,
        n_rounds: Annotated[int, Field(ge=1)] = 200,
        learning_rate: Annotated[float, Field(gt=0)] = 0.05,
        num_leaves: Annotated[int, Field(ge=2)] = 8,
        min_child_samples: Annotated[int, Field(ge=1)] = 10,
        lambda_l2: Annotated[float, Field(ge=0)] = 1.0,
        feature_fraction: Annotated[float, Field(gt=0, le=1)] = 0.5,
        bagging_fraction: Annotated[float, Field(gt=0, le=1)] = 0.8,
        seed: int = 0,
    ) -> None:
        self.n_components = n_components
        self.n_rounds = n_rounds
        self.learning_rate = learning_rate
        self.num_leaves = num_leaves
        self.min_child_samples = min_child_samples
        self.lambda_l2 = lambda_l2
        self.feature_fraction = feature_fraction
        self.bagging_fraction = bagging_fraction
        self.seed = seed

    def _fit(
        self,
        inputs: NDArray[np.float32],
        targets: NDArray[np.float64],
        groups: Groups,  # noqa: ARG002 (no inner folds)
    ) -> None:
        # Imported here, so that reading settings does not wait seconds for the library.
        import lightgbm

        self.boosters_ = []
        for target in targets.T:
            rows = ~np.isnan(target)
            data = lightgbm.Dataset(inputs[rows], target[rows], params={"verbosity": -1})
            parameters = self._parameters(int(rows.sum()))
            self.boosters_.append(lightgbm.train(parameters, data, self.n_rounds))

    def _predict(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        columns = [np.asarray(booster.predict(inputs)) for booster in self.boosters_]
        return np.stack(columns, axis=1)

    def _parameters(self, n_rows: int) -> dict[str, Any]:
        return {
            "objective": "regression",
            "learning_rate": self.learning_rate,
            "num_leaves": self.num_leaves,
            "min_child_samples": self.min_child_samples,
            "lambda_l2": self.lambda_l2,
            "feature_fraction": self.feature_fraction,
            "bagging_fraction": self.bagging_fraction,
            "bagging_freq": 1,
            "seed": self.seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": max(1, min(joblib.cpu_count(), n_rows // ROWS_PER_THREAD)),
            "verbosity": -1,
        }
