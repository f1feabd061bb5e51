"""Partial least squares: a few directions that matter to all targets."""

from typing import Annotated, Any

from pydantic import Field
from sklearn.cross_decomposition import PLSRegression

from models.heads.sklearn_head import SklearnHead

FACTORS = (1, 2, 4, 8, 16, 32)


class PLSHead(SklearnHead):
    """scikit-learn's `PLSRegression` of all targets; the number of factors chosen for each.

    Parameters
    ----------
    n_components : int, optional
        Principal components kept; a view with no more columns is used as it is. None: the columns,
        which takes long where there are thousands.
    n_factors : tuple of int
        Candidates; as many as rows or columns allow where these are fewer.
    seed : int
        Seed of the projection and of the inner folds.
    """

    def __init__(
        self,
        n_components: Annotated[int, Field(ge=1)] | None = 128,
        n_factors: Annotated[
            tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)
        ] = FACTORS,
        seed: int = 0,
    ) -> None:
        self.n_components = n_components
        self.n_factors = n_factors
        self.seed = seed

    def _candidates(self, n_rows: int, n_columns: int) -> list[Any]:
        most = max(1, min(n_rows - 1, n_columns))
        return [PLSRegression(min(number, most), scale=False) for number in sorted(self.n_factors)]
