"""Elastic net: linear regression that leaves columns out."""

from typing import Annotated, Any

from pydantic import Field
from sklearn.linear_model import ElasticNet

from models.heads.search import Range
from models.heads.sklearn_head import SklearnHead

ALPHAS = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003)


class ElasticNetHead(SklearnHead):
    """scikit-learn's `ElasticNet` per target; its penalty chosen on grouped folds.

    Parameters
    ----------
    n_components : int, optional
        Principal components kept; a view with no more columns is used as it is. None: the columns,
        which takes long where there are thousands.
    alphas : tuple of float
        Candidate penalties, for targets of standard deviation 1.
    l1_ratio : float
        Share of the penalty that is on absolute, not squared, coefficients.
    seed : int
        Seed of the projection and of the inner folds.
    """

    def __init__(
        self,
        n_components: Annotated[int, Field(ge=1)] | None = 128,
        alphas: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = ALPHAS,
        l1_ratio: Annotated[float, Field(gt=0, le=1), Range(0.05, 1.0)] = 0.5,
        seed: int = 0,
    ) -> None:
        self.n_components = n_components
        self.alphas = alphas
        self.l1_ratio = l1_ratio
        self.seed = seed

    def _candidates(self, n_rows: int, n_columns: int) -> list[Any]:
        # Inner products once for all targets, where that is the smaller matrix.
        precompute = n_rows > n_columns
        return [
            ElasticNet(alpha=alpha, l1_ratio=self.l1_ratio, precompute=precompute, tol=1e-3)
            for alpha in sorted(self.alphas, reverse=True)
        ]
