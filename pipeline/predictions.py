"""Prediction tables: ``clip_id, view, fold, <targets>``; fold -1 marks rows outside the folds."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.clip_table import Rows
from pipeline.params import ParamsError
from pipeline.paths import OOF
from pipeline.views import view_names

HELD = -1
"""The fold of rows predicted by the model refitted on all of Train (Test: on Val too, if asked)."""


def write_prediction_table(
    path: Path,
    predictions: Mapping[str, NDArray[np.float64]],
    rows: Rows,
    targets: Sequence[str],
) -> None:
    """Write predictions for all rows, view by view.

    Parameters
    ----------
    path : Path
        A Parquet file.
    predictions : mapping of str to ndarray, shape (n_clips, n_targets)
        By view, in the order of `rows`.
    rows : Rows
        Gives ids and folds.
    targets : sequence of str
        Column names.
    """
    fold = np.full(len(rows.clips), HELD, np.int64)
    fold[: rows.n_train] = rows.fold_of_row
    tables = []
    for view, values in predictions.items():
        table = pd.DataFrame(values, columns=list(targets))
        table.insert(0, "clip_id", rows.clip_ids)
        table.insert(1, "view", view)
        table.insert(2, "fold", fold)
        tables.append(table)
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.concat(tables, ignore_index=True).to_parquet(path, index=False)


def read_prediction_table(
    path: Path, rows: Rows, targets: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    """Read predictions back by view, in the order of `rows`.

    Raises
    ------
    ParamsError
        When the table is of other clips than `rows`.
    """
    table = pd.read_parquet(path)
    predictions = {}
    for view, part in table.groupby("view", sort=False):
        indexed = part.set_index("clip_id")
        if set(indexed.index) != set(rows.clip_ids):
            raise ParamsError(f"{path} is of other clips than the clip table: run `dvc repro`")
        predictions[str(view)] = indexed.loc[rows.clip_ids, list(targets)].to_numpy(np.float64)
    return predictions


def member_names(heads: Sequence[str], encoders: Sequence[str]) -> list[str]:
    """Return ``head/view`` of all members of the stack, in its order."""
    return [f"{head}/{view}" for head in heads for view in view_names(encoders)]


def read_members(
    heads: Sequence[str],
    encoders: Sequence[str],
    rows: Rows,
    targets: Sequence[str],
    folder: Path = OOF,
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield ``head/view`` and its predictions (n_clips, n_targets), in the order of parameters."""
    for head in heads:
        by_view = read_prediction_table(folder / f"{head}.parquet", rows, targets)
        for view in view_names(encoders):
            yield f"{head}/{view}", by_view[view]
