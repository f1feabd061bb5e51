"""Gradient-boosted trees on the columns that tell most, on bins that targets share."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self

import joblib
import numpy as np
from pydantic import Field
from sklearn.base import clone

from models.arrays import Bools, Floats32, Floats64, Ints, return_freed_memory
from models.heads.base import ProjectedHead, Range
from models.view import FoldedView

ROWS_PER_THREAD = 4000
"""Below this many rows per thread, starting threads costs more than they save."""
FEWEST_PER_TREE, MOST_PER_TREE, FEW_ROWS = 64, 512, 1440
"""Columns that a tree looks at: the most at so many rows, beyond as rows to the power -1.5, and
at most half as many as rows. On 1,440 clips of CREMA-D 512 columns reached .612 and 256 .599;
on 25,000 faces of FER+ 128 and 64 columns, for the same seconds, were level."""

ROWS_PER_LEAF, FEWEST_LEAVES = 120, 4
"""Few rows want small trees: with 960 of them 8 leaves reached .5586 on FER+ and .6153 on CREMA-D;
15 leaves .5565 and .6103, in half as much time again."""
FEWEST_SHARE, ROWS_FOR_ALL = 0.7, 2000
"""Few rows want trees on a share of them, drawn anew for each: of 560, 960 and 1,152 it reached
.257, .305 (FER+) and .585 (CREMA-D), all rows .249, .295 and .579; from 2,000 on both are level."""
PARTS_PER_POOL = 8
"""Histograms of leaves take at most this part of what trees see; those of few rows took more."""
ROWS_PER_L2 = 50
"""Leaves of few rows would hardly say anything with the `lambda_l2` of many."""

FIXED = {
    "objective": "regression",
    "feature_pre_filter": False,  # else bins would depend on the rows of a part
    "deterministic": True,
    "force_col_wise": True,
    "verbosity": -1,
}


@dataclass(eq=False, repr=False)
class LightGBMHead(ProjectedHead):
    """One LightGBM booster per target, on the columns that tell most.

    Trees on thousands of embedding columns are slow, so those that correlate most with the targets
    are chosen inside the training set, and each tree looks at few of them, at more where there are
    few rows. Principal components stand beside them: a tree needs many splits for what is a sum of
    columns (on 25,000 faces .574 with them, .566 without). Leaves are shrunk: on 4,800 faces .423
    with a `lambda_l2` of 30, .410 with 1.

    Targets are fitted at the same time, each on its share of the cores. Histograms are summed
    column by column, so results do not depend on the number of threads.

    Parameters
    ----------
    bands : tuple of int
        As in `Head`; trees do not mind scales.
    n_components, seed
        As in `ProjectedHead`; the seed is that of the columns and rows drawn for each tree too.
    columns_per_target : int
        Columns chosen for each target; all targets see those of all. At least twice as many as a
        tree looks at.
    n_rounds : int
        Trees per target.
    learning_rate, num_leaves, min_child_samples, max_bin : float or int
        As in LightGBM; fewer leaves with few rows, one for every 120, and trees on 70 % of them.
    lambda_l2 : float
        As in LightGBM; less with few rows, one for every 50.
    feature_fraction : float
        Share of the columns that is drawn for each tree, at most.
    """

    weighs_bands = False

    columns_per_target: Annotated[int, Field(ge=1), Range(30, 1000, log=True)] = 300
    n_rounds: Annotated[int, Field(ge=1)] = 400
    learning_rate: Annotated[float, Field(gt=0), Range(0.01, 0.2, log=True)] = 0.05
    num_leaves: Annotated[int, Field(ge=2), Range(4, 64, log=True)] = 15
    min_child_samples: Annotated[int, Field(ge=1), Range(5, 100, log=True)] = 20
    lambda_l2: Annotated[float, Field(ge=0), Range(0.1, 100.0, log=True)] = 30.0
    max_bin: Annotated[int, Field(ge=2, le=255)] = 31
    feature_fraction: Annotated[float, Field(gt=0, le=1), Range(0.1, 1.0)] = 0.3

    def _fit_folds(self, view: FoldedView, folds: Sequence[int]) -> Iterator[Self]:
        """Fit one training set after the other, without a copy of its inputs."""
        for fold in folds:
            head, rows = clone(self), view.training_rows(fold)
            return_freed_memory()  # of the fold before
            if head._begin_fit(view.targets[rows]):
                head._prepare(view, fold)
                labelled = np.where(rows[:, None], view.targets, np.nan)
                head._grow(view.inputs, rows, head._standardised(labelled))
                return_freed_memory()  # of training, before the rows left out are predicted
            yield head

    def _grow(self, inputs: Floats32, rows: Bools, targets: Floats64) -> None:
        """Grow the trees of every target (NaN outside the training rows)."""
        # Imported here, so that reading settings does not wait seconds for the library.
        from models.heads import lightgbm_training

        n_rows = int(rows.sum())
        n_per_tree = columns_per_tree(n_rows)
        n_per_target = max(self.columns_per_target, 2 * n_per_tree)
        self.columns_ = most_correlated(inputs, targets, n_per_target)
        n_seen = self._seen(inputs[:1]).shape[1]
        n_at_once = min(joblib.cpu_count(), targets.shape[1])
        parameters = self._parameters(_n_threads(n_rows, n_at_once)) | {
            "feature_fraction": min(self.feature_fraction, n_per_tree / n_seen),
            "lambda_l2": min(self.lambda_l2, n_rows / ROWS_PER_L2),
            "num_leaves": min(self.num_leaves, max(FEWEST_LEAVES, n_rows // ROWS_PER_LEAF)),
            "bagging_fraction": min(max(FEWEST_SHARE, n_rows / ROWS_FOR_ALL), 1.0),
            "bagging_freq": 1,
            "histogram_pool_size": 4 * n_rows * n_seen / 2**20 / PARTS_PER_POOL,
        }
        self.boosters_ = lightgbm_training.train(
            lambda some: self._seen(inputs[some]), targets, parameters, self.n_rounds, n_at_once
        )

    def _applied(self, inputs: Floats32) -> Floats32:
        return inputs  # components stand beside them

    def _predict(self, inputs: Floats32) -> Floats64:
        threads, seen = _n_threads(len(inputs)), self._seen(inputs)
        columns = [booster.predict(seen, num_threads=threads) for booster in self.boosters_]
        return np.column_stack([np.asarray(column, np.float64) for column in columns])

    def _seen(self, inputs: Floats32) -> Floats32:
        """Return what trees see: the columns chosen, and components beside them."""
        if self.projection_ is None:
            return np.take(inputs, self.columns_, axis=1)
        components = self.projection_.apply(inputs)
        n = components.shape[1]
        places = np.append(self.columns_, np.zeros(n, np.intp))  # room for them, without a copy
        seen = np.take(inputs, places, axis=1)
        seen[:, -n:] = components
        return seen

    def _parameters(self, n_threads: int) -> dict[str, Any]:
        """Return the settings that LightGBM knows by the names they have here, and fixed ones."""
        ours = {"bands", "n_components", "columns_per_target", "n_rounds"}
        settings = {key: each for key, each in self.get_params().items() if key not in ours}
        return {**FIXED, **settings, "num_threads": n_threads}


def columns_per_tree(n_rows: int) -> int:
    """Return how many columns a tree looks at, at most."""
    most = min(MOST_PER_TREE * (FEW_ROWS / n_rows) ** 1.5, n_rows / 2)
    return int(np.clip(most, FEWEST_PER_TREE, MOST_PER_TREE))


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
