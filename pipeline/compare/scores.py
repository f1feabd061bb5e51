"""Scores kept beside the fits: a comparison made before is shown without its arithmetic."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.evaluation.scores import Score, score_predictions
from pipeline.compare.plan import Plan
from pipeline.fits.fit_cache import FitCache
from pipeline.fits.jobs import Fit


@dataclass(frozen=True)
class Scored:
    """The score of a fit, and the seconds that the fit took."""

    score: Score
    fit_s: float

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Return the score that these `arrays` are of."""
        score = Score(
            pearson=arrays["pearson"],
            pooled_pearson=arrays["pooled_pearson"],
            constant=arrays["constant"],
            resampled=arrays["resampled"],
        )
        return cls(score, float(arrays["fit_s"]))

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """What is kept of it on disk."""
        return vars(self.score) | {"fit_s": np.array(self.fit_s)}


class Scorer:
    """Scores fits on the split of a plan.

    Parameters
    ----------
    plan : Plan
        Rows, split, and the numbers of the bootstrap.
    cache : FitCache
        Where scores are kept.
    """

    def __init__(self, plan: Plan, cache: FitCache) -> None:
        self._plan = plan
        self._cache = cache
        self._settings = {
            "split": plan.split,
            "n_resamples": plan.params.evaluation.n_resamples,
            "seed": plan.params.seed,
        }

    def known(self, key: str) -> Scored | None:
        """Return the score of the fit with this key, if both are kept."""
        if not self._cache.has(key):
            return None
        arrays = self._cache.get(self._cache.score_key(key, **self._settings))
        return None if arrays is None else Scored.from_arrays(arrays)

    def score(self, fits: Mapping[str, Fit]) -> dict[str, Scored]:
        """Score fits by key, all at once, and keep the scores."""
        if not fits:
            return {}
        plan, rows = self._plan, self._plan.rows
        scores = score_predictions(
            rows.y[plan.scored],
            np.stack([fit.predictions[plan.scored] for fit in fits.values()]),
            rows.people[plan.scored],
            plan.params.evaluation.n_resamples,
            plan.params.seed,
            rows.fold_of_row if plan.split == "oof" else None,
        )
        found = {}
        for (key, fit), score in zip(fits.items(), scores, strict=True):
            found[key] = Scored(score, fit.fit_s)
            self._cache.put(self._cache.score_key(key, **self._settings), found[key].arrays)
        return found
