"""LightGBM boosters of several targets, on rows that are made while they are binned."""

from collections.abc import Callable
from typing import Any

import joblib
import lightgbm
import numpy as np
from lightgbm import Booster, Dataset

from models.arrays import Floats32, Floats64, Numbers, label_patterns, return_freed_memory

ROWS_FOR_BINS = 250
"""Rows that bins are made of: enough for 31 of them."""

FEWEST_PER_BATCH, BATCHES = 256, 4
"""Rows that are made at a time: they take memory, and many at a time take less time."""

Seen = Callable[[Numbers], Floats32]
"""Returns what trees see of rows of some numbers [n, n_columns]."""


def train(
    seen: Seen, targets: Floats64, parameters: dict[str, Any], n_rounds: int, n_at_once: int
) -> list[Booster]:
    """Grow the trees of every target on its labelled rows.

    Parameters
    ----------
    seen : callable
        What trees see of rows. That of all of them would be as large as the view, so it is asked
        for a few at a time.
    targets : array [n_rows, n_targets]
        NaN where unlabelled, and in all rows that are not to be trained on.
    parameters : dict
        Of LightGBM.
    n_rounds : int
        Trees per target.
    n_at_once : int
        Boosters that grow at the same time.
    """
    labelled = np.flatnonzero(~np.isnan(targets).all(axis=1))
    drawn = np.random.default_rng(parameters["seed"]).permutation(labelled)[:ROWS_FOR_BINS]
    # Labels are asked for here, and set later, target by target.
    bins = Dataset(seen(drawn), np.zeros(len(drawn)), params=parameters)
    rows = _Rows(seen, labelled)
    table = Dataset(rows, np.zeros(len(rows)), bins, params=parameters).construct()
    # Targets that are labelled alike share a table, one for each that grows at a time.
    shares = [
        (np.flatnonzero(own[labelled]), columns[first::n_at_once])
        for own, columns in label_patterns(targets)
        for first in range(min(n_at_once, len(columns)))
    ]
    whole = next((n for n, (own, _) in enumerate(shares) if len(own) == len(labelled)), None)
    tables = [
        table if number == whole else table.subset(own.tolist()).construct()
        for number, (own, _) in enumerate(shares)
    ]
    return_freed_memory()

    def grown(table: Dataset, labels: Floats64) -> list[Booster]:
        return [lightgbm.train(parameters, table.set_label(own), n_rounds) for own in labels.T]

    of_shares = joblib.Parallel(n_at_once, prefer="threads")(
        joblib.delayed(grown)(own_table, targets[np.ix_(labelled[own], columns)])
        for own_table, (own, columns) in zip(tables, shares, strict=True)
    )
    boosters = [booster for of_share in of_shares for booster in of_share]
    order = np.argsort(np.concatenate([columns for _, columns in shares]))
    return [boosters[place] for place in order]


class _Rows(lightgbm.Sequence):
    def __init__(self, seen: Seen, rows: Numbers) -> None:
        self._seen, self._rows = seen, rows
        self.batch_size = max(FEWEST_PER_BATCH, len(rows) // BATCHES)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, places: Any) -> Floats32:
        return self._seen(self._rows[places])
