"""Gradient-boosted trees on the columns that tell most, on bins that all targets share."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import joblib
import numpy as np
from pydantic import Field

from models.arrays import Floats32, Floats64, Groups, Ints
from models.heads.base import Head, Range

if TYPE_CHECKING:
    import lightgbm

ROWS_PER_THREAD = 4000
"""Below this many rows per thread, starting threads costs more than they save."""

FIXED = {
    "objective": "regression",
    "feature_pre_filter": False,  # else bins would depend on the rows of a part
    "bin_construct_sample_cnt": 2_000,  # enough for 31 bins; the sample takes memory
    "deterministic": True,
    "force_col_wise": True,
    "verbosity": -1,
}


@dataclass(eq=False, repr=False)
class LightGBMHead(Head):
    """One LightGBM booster per target, on the columns that tell most; binned once for all targets.

    Trees on thousands of embedding columns are slow, so those that correlate most with the targets
    are chosen inside the training set, and each tree looks at a hundred or so of them. On faces and
    voices that was as good as a third of all columns for each tree.

    Targets are fitted at the same time, each on its share of the cores. Histograms are summed
    column by column, so results do not depend on the number of threads.

    Parameters
    ----------
    bands : tuple of int
        As in `Head`; trees do not mind scales.
    columns_per_target : int
        Columns chosen for each target; all targets see those of all.
    n_rounds : int
        Trees per target.
    learning_rate, num_leaves, min_child_samples, lambda_l2, max_bin : float or int
        As in LightGBM.
    feature_fraction : float
        Share of the chosen columns that is drawn for each tree.
    columns_per_tree : int
        As many are drawn at most.
    seed : int
        Seed of the columns drawn for each tree.
    """

    weighs_bands = False

    columns_per_target: Annotated[int, Field(ge=1), Range(30, 1000, log=True)] = 300
    n_rounds: Annotated[int, Field(ge=1)] = 300
    learning_rate: Annotated[float, Field(gt=0), Range(0.01, 0.2, log=True)] = 0.05
    num_leaves: Annotated[int, Field(ge=2), Range(4, 64, log=True)] = 15
    min_child_samples: Annotated[int, Field(ge=1), Range(5, 100, log=True)] = 20
    lambda_l2: Annotated[float, Field(ge=0), Range(0.01, 100.0, log=True)] = 1.0
    max_bin: Annotated[int, Field(ge=2, le=255)] = 31
    feature_fraction: Annotated[float, Field(gt=0, le=1), Range(0.1, 1.0)] = 0.3
    columns_per_tree: Annotated[int, Field(ge=1)] = 128
    seed: int = 0

    def _fit(self, inputs: Floats32, targets: Floats64, groups: Groups) -> None:  # noqa: ARG002
        # Imported here, so that reading settings does not wait seconds for the library.
        import lightgbm

        self.columns_ = most_correlated(inputs, targets, self.columns_per_target)
        chosen = np.ascontiguousarray(inputs[:, self.columns_])
        n_at_once = min(joblib.cpu_count(), targets.shape[1])
        parameters = self._parameters(_n_threads(len(inputs)))
        # Parts of a data set ask for labels, which they are given target by target.
        data = lightgbm.Dataset(chosen, np.zeros(len(chosen)), params=parameters).construct()
        parameters = self._parameters(_n_threads(len(inputs), n_at_once))

        def grown(target: Floats64) -> "lightgbm.Booster":
            rows = np.flatnonzero(~np.isnan(target))
            part = data.subset(rows.tolist()).construct().set_label(target[rows])
            return lightgbm.train(parameters, part, self.n_rounds)

        self.boosters_ = joblib.Parallel(n_at_once, prefer="threads")(
            joblib.delayed(grown)(target) for target in targets.T
        )

    def _predict(self, inputs: Floats32) -> Floats64:
        threads, chosen = _n_threads(len(inputs)), inputs[:, self.columns_]
        columns = [booster.predict(chosen, num_threads=threads) for booster in self.boosters_]
        return np.stack(columns, axis=1)

    def _parameters(self, n_threads: int) -> dict[str, Any]:
        """Return the settings that LightGBM knows by the names they have here, and fixed ones."""
        ours = {"bands", "columns_per_target", "columns_per_tree", "n_rounds"}
        settings = {key: each for key, each in self.get_params().items() if key not in ours}
        most = self.columns_per_tree / len(self.columns_)
        settings["feature_fraction"] = min(self.feature_fraction, most)
        return {**FIXED, **settings, "num_threads": n_threads}


def most_correlated(inputs: Floats32, targets: Floats64, n_per_target: int) -> Ints:
    """Choose the columns of standardised inputs that correlate most with each target.

    Returns their numbers, ascending: at most `n_per_target` times as many as there are targets.
    """
    known = np.nan_to_num(targets).astype(inputs.dtype)
    size = np.abs(inputs.T @ known)
    best = np.argsort(-size, axis=0, kind="stable")[:n_per_target]
    return np.unique(best).astype(np.int64)


def _n_threads(n_rows: int, n_at_once: int = 1) -> int:
    """Threads for each of several boosters that are trained at once."""
    n_cores: int = joblib.cpu_count()
    return max(1, min(n_cores // n_at_once, n_rows // ROWS_PER_THREAD))
