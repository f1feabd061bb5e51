"""Ridge regression with a penalty of its own for every encoder."""

from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import comb

import numpy as np
from numpy.typing import NDArray

from models.heads.ridge import RidgeHead
from models.ridge.gram import BandMixtures

MOST_MIXTURES = 10
FINEST = 4


@dataclass(eq=False, repr=False)
class BandedRidgeHead(RidgeHead):
    """Ridge regression in which every band of columns (encoder) has a weight of its own.

    Bands are brought to equal variance and weighted; weights sum to 1. Each target takes the
    mixture of bands and the penalty that predict best on grouped folds (Nunez-Elizalde et al.,
    2019; Dupre la Tour et al., 2022). A band of weight 0 takes no part: where an encoder only adds
    noise, it costs nothing.

    Parameters
    ----------
    alphas, seed
        As in `models.heads.ridge.RidgeHead`.
    bands : tuple of int
        Number of columns of each band, in order; () is a single band.

    Attributes
    ----------
    weights_ : array [n_targets, n_bands]
        The mixture of each target.
    """

    bands: tuple[int, ...] = ()

    @property
    def weights_(self) -> NDArray[np.float64]:  # noqa: D102 (see the class)
        return mixtures_of(max(1, len(self.bands)))[self.chosen_ // len(self.alphas)]

    def _mixtures(self, n_columns: int) -> BandMixtures:
        """Bands brought to equal variance, then weighted; together they keep their variance."""
        widths = self.bands or (n_columns,)
        if sum(widths) != n_columns:
            raise ValueError(
                f"bands {widths} are {sum(widths)} columns, X has {n_columns}; give the number of "
                "columns of each encoder in the view."
            )
        return BandMixtures(widths, mixtures_of(len(widths)) * n_columns / np.array(widths))


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
