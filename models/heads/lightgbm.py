"""Gradient-boosted trees, stopped early, on bins that all targets share."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import joblib
import numpy as np
from pydantic import Field

from models.arrays import Bools, Floats32, Floats64, Groups, Numbers
from models.heads.base import ProjectedHead, Range
from models.ridge.penalties import inner_folds

if TYPE_CHECKING:
    import lightgbm

ROWS_PER_THREAD = 4000
"""Below this many rows per thread, starting threads costs more than they save."""
HELD_SHARE = 0.2
"""Of the rows; the fold whose share is nearest to it says when to stop."""
LEAST_HELD = 500
"""With fewer held-out rows, all trees are grown: few trees err little, but are rough. On made-up
clips with a weak signal, stopping took the correlation from 0.15 to 0.08 with 72 rows, from 0.21 to
0.10 with 400 and from 0.19 to 0.15 with 1,000; with 15,806 it cost nothing."""

FIXED = {
    "objective": "regression",
    "bagging_freq": 1,
    "feature_pre_filter": False,  # else bins would depend on the rows of a part
    "deterministic": True,
    "force_col_wise": True,
    "verbosity": -1,
}


@dataclass(eq=False, repr=False)
class LightGBMHead(ProjectedHead):
    """One LightGBM booster per target, stopped early; values are binned once for all targets.

    Trees on thousands of embedding columns are slow, so by default they grow on principal
    components of the training rows, which heads with as many components share.

    For each target, one inner fold of people tells after how many trees the squared error is least;
    that many are grown on all rows. With fewer than `LEAST_HELD` rows to hold out, all are grown.

    Targets are fitted at the same time, each on its share of the cores. Histograms are summed
    column by column, so results do not depend on the number of threads.

    Parameters
    ----------
    n_components : int, optional
        Principal components kept; a view with no more columns is used as it is. None: the columns.
    n_rounds : int
        Most trees per target.
    patience : int, optional
        Trees without a smaller error on held-out people after which to stop. None: never.
    learning_rate, num_leaves, min_child_samples, lambda_l2, max_bin : float or int
        As in LightGBM. The defaults are small trees, which hold from 50 rows to 15,000.
    feature_fraction, bagging_fraction : float
        Share of columns and of rows drawn for each tree.
    seed : int
        Seed of the projection, the inner folds and the draws.
    """

    n_rounds: Annotated[int, Field(ge=1)] = 200
    patience: Annotated[int, Field(ge=1)] | None = 20
    learning_rate: Annotated[float, Field(gt=0), Range(0.01, 0.2, log=True)] = 0.07
    num_leaves: Annotated[int, Field(ge=2), Range(4, 64, log=True)] = 8
    min_child_samples: Annotated[int, Field(ge=1), Range(5, 100, log=True)] = 10
    lambda_l2: Annotated[float, Field(ge=0), Range(0.01, 100.0, log=True)] = 1.0
    max_bin: Annotated[int, Field(ge=2, le=255)] = 31
    feature_fraction: Annotated[float, Field(gt=0, le=1), Range(0.1, 1.0)] = 0.5
    bagging_fraction: Annotated[float, Field(gt=0, le=1)] = 0.5

    def _fit(self, inputs: Floats32, targets: Floats64, groups: Groups) -> None:
        self._grow(self._binned(inputs), targets, groups)

    def _predict(self, inputs: Floats32) -> Floats64:
        threads = _n_threads(len(inputs))
        columns = [booster.predict(inputs, num_threads=threads) for booster in self.boosters_]
        return np.stack(columns, axis=1)

    def _binned(self, inputs: Floats32) -> "lightgbm.Dataset":
        # Imported here, so that reading settings does not wait seconds for the library.
        import lightgbm

        parameters = self._parameters(_n_threads(len(inputs)))
        # Parts of a data set ask for labels, which they are given target by target.
        return lightgbm.Dataset(inputs, np.zeros(len(inputs)), params=parameters).construct()

    def _grow(self, data: "lightgbm.Dataset", targets: Floats64, groups: Groups) -> None:
        """Fit one booster per target on the rows of `data` that are labelled for it."""
        n_at_once = min(joblib.cpu_count(), targets.shape[1])
        parameters = self._parameters(_n_threads(len(targets), n_at_once))
        self.boosters_ = joblib.Parallel(n_at_once, prefer="threads")(
            joblib.delayed(self._booster)(data, target, groups, parameters) for target in targets.T
        )

    def _booster(
        self, data: "lightgbm.Dataset", target: Floats64, groups: Groups, parameters: dict[str, Any]
    ) -> "lightgbm.Booster":
        import lightgbm

        rows = np.flatnonzero(~np.isnan(target))
        n_rounds = self.n_rounds
        if self.patience is not None and (held := self._held(groups[rows])) is not None:
            stop = lightgbm.early_stopping(self.patience, verbose=False)
            trained, validated = (_part(data, rows[part], target) for part in (~held, held))
            n_rounds = lightgbm.train(
                parameters, trained, n_rounds, valid_sets=[validated], callbacks=[stop]
            ).best_iteration
        return lightgbm.train(parameters, _part(data, rows, target), n_rounds)

    def _held(self, groups: Groups) -> Bools | None:
        """Mark the rows held out to stop early [n_rows]; None where they would be too few."""
        folds = inner_folds(groups, self.seed)
        sizes = np.bincount(folds)
        held = int(np.argmin(np.abs(sizes - HELD_SHARE * len(folds))))
        return None if sizes[held] < LEAST_HELD else folds == held

    def _parameters(self, n_threads: int) -> dict[str, Any]:
        """Return the settings that LightGBM knows by the names they have here, and fixed ones."""
        ours = {"n_components", "n_rounds", "patience"}
        settings = {key: each for key, each in self.get_params().items() if key not in ours}
        return {**FIXED, **settings, "num_threads": n_threads}


def _n_threads(n_rows: int, n_at_once: int = 1) -> int:
    """Threads for each of several boosters that are trained at once."""
    n_cores: int = joblib.cpu_count()
    return max(1, min(n_cores // n_at_once, n_rows // ROWS_PER_THREAD))


def _part(data: "lightgbm.Dataset", rows: Numbers, target: Floats64) -> "lightgbm.Dataset":
    """Take some rows of binned data, with the labels of one target."""
    return data.subset(rows.tolist()).construct().set_label(target[rows])
