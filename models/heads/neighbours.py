"""The mean of the nearest neighbours."""

from typing import Annotated, Any

from pydantic import Field
from sklearn.neighbors import KNeighborsRegressor

from models.heads.sklearn_head import SklearnHead

N_NEIGHBOURS = (300, 100, 30, 10)


class NeighboursHead(SklearnHead):
    """scikit-learn's `KNeighborsRegressor`; the number of neighbours chosen on grouped folds.

    Parameters
    ----------
    n_components : int, optional
        Principal components in which distances are taken; a view with no more columns is used as
        it is. None: the columns.
    n_neighbours : tuple of int
        Candidates; none takes more than a third of the rows.
    seed : int
        Seed of the projection and of the inner folds.
    """

    def __init__(
        self,
        n_components: Annotated[int, Field(ge=1)] | None = 128,
        n_neighbours: Annotated[
            tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)
        ] = N_NEIGHBOURS,
        seed: int = 0,
    ) -> None:
        self.n_components = n_components
        self.n_neighbours = n_neighbours
        self.seed = seed

    def _candidates(self, n_rows: int, n_columns: int) -> list[Any]:  # noqa: ARG002
        most = max(1, n_rows // 3)
        return [
            # Search trees are no help in as many dimensions.
            KNeighborsRegressor(min(number, most), algorithm="brute")
            for number in sorted(self.n_neighbours, reverse=True)
        ]
