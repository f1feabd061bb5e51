"""The mean of many random trees."""

from typing import Annotated, Any

import joblib
import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from sklearn.ensemble import ExtraTreesRegressor

from models.arrays import Groups
from models.heads.search import Range
from models.heads.sklearn_head import SklearnHead, n_jobs


class RandomTreesHead(SklearnHead):
    """scikit-learn's `ExtraTreesRegressor`: every tree predicts all targets.

    Parameters
    ----------
    n_components : int, optional
        Principal components kept; a view with no more columns is used as it is. None: the columns,
        which takes long where there are thousands.
    n_trees : int
        Number of trees.
    min_samples_leaf : int
        Least rows in a leaf: the fewer, the closer a tree follows its rows.
    max_features : float
        Share of columns tried at each split.
    seed : int
        Seed of the projection and of the trees.
    """

    def __init__(
        self,
        n_components: Annotated[int, Field(ge=1)] | None = 128,
        n_trees: Annotated[int, Field(ge=1)] = 100,
        min_samples_leaf: Annotated[int, Field(ge=1), Range(2, 50, log=True)] = 10,
        max_features: Annotated[float, Field(gt=0, le=1), Range(0.05, 1.0, log=True)] = 0.3,
        seed: int = 0,
    ) -> None:
        self.n_components = n_components
        self.n_trees = n_trees
        self.min_samples_leaf = min_samples_leaf
        self.max_features = max_features
        self.seed = seed

    def _fit(
        self, inputs: NDArray[np.float32], targets: NDArray[np.float64], groups: Groups
    ) -> None:
        # Not so for predicting: threads would add up the trees in the order they come in.
        with joblib.parallel_config("threading", n_jobs=n_jobs(inputs)):
            super()._fit(inputs, targets, groups)

    def _candidates(self, n_rows: int, n_columns: int) -> list[Any]:  # noqa: ARG002
        return [
            ExtraTreesRegressor(
                self.n_trees,
                min_samples_leaf=self.min_samples_leaf,
                max_features=self.max_features,
                random_state=self.seed,
            )
        ]
