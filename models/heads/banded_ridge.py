"""Ridge regression with a penalty of its own for every encoder."""

from itertools import combinations_with_replacement
from math import comb
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from models.heads.ridge import ALPHAS, RidgeHead
from models.ridge.candidates import RidgeCandidates
from models.ridge.gram import BandMixtures

MOST_MIXTURES = 10
FINEST = 4


class BandedRidgeHead(RidgeHead):
    """Ridge regression in which every band of columns (encoder) has a weight of its own.

    Bands are brought to equal variance and weighted; weights sum to 1. Each target takes the
    mixture of bands and the penalty that predict best on grouped folds (Nunez-Elizalde et al.,
    2019; Dupre la Tour et al., 2022). A band of weight 0 takes no part: where an encoder only adds
    noise, it costs nothing.

    Parameters
    ----------
    alphas : tuple of float
        Candidate penalties, as in `models.heads.ridge.RidgeHead`.
    bands : tuple of int
        Number of columns of each band, in order; () is a single band.
    seed : int
        Seed of the inner folds.
    """

    def __init__(
        self,
        alphas: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = ALPHAS,
        bands: tuple[int, ...] = (),
        seed: int = 0,
    ) -> None:
        super().__init__(alphas, seed)
        self.bands = bands

    def _begin(self, n_columns: int, n_targets: int) -> None:
        self.weights_ = np.empty((n_targets, len(self.bands or (n_columns,))))
        super()._begin(n_columns, n_targets)

    def _note_choice(
        self, columns: NDArray[np.intp], family: RidgeCandidates, chosen: NDArray[np.intp]
    ) -> None:
        mixture, alpha = np.divmod(chosen, len(family.alphas))
        self.weights_[columns] = mixtures_of(self.weights_.shape[1])[mixture]
        self.alpha_[columns] = family.alphas[alpha]

    def _mixtures(self, inputs: NDArray[np.float32]) -> BandMixtures:
        """Bands brought to equal variance, then weighted; together they keep their variance."""
        widths = self.bands or (inputs.shape[1],)
        if sum(widths) != inputs.shape[1]:
            raise ValueError(
                f"bands {widths} are {sum(widths)} columns, X has {inputs.shape[1]}; give the "
                "number of columns of each encoder in the view."
            )
        return BandMixtures(widths, mixtures_of(len(widths)) * sum(widths) / np.array(widths))


def mixtures_of(n_bands: int) -> NDArray[np.float64]:
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
