"""Tables behind `dvc plots`."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.clip_table import Rows
from pipeline.scoring import Score


def by_target_table(score: Score) -> pd.DataFrame:
    """Return one row per target: ``target, pearson``."""
    return pd.DataFrame(score["pearson"].items(), columns=["target", "pearson"])


def scatter_table(
    predictions: NDArray[np.float64], rows: Rows, targets: Sequence[str], split: str
) -> pd.DataFrame:
    """Return one row per clip and labelled target: ``clip_id, target, label, prediction``.

    Parameters
    ----------
    predictions : ndarray of float64, shape (n_clips, n_targets)
        In the order of `rows`.
    rows : Rows
        Gives ids and labels.
    targets : sequence of str
        In the order of the columns.
    split : str
        Which clips: ``Train``, ``Val`` or ``Test``.
    """
    tables = [
        pd.DataFrame(
            {
                "clip_id": rows.clips["clip_id"],
                "target": target,
                "label": rows.y[:, column],
                "prediction": predictions[:, column],
            }
        )[rows.clips["split"] == split]
        for column, target in enumerate(targets)
    ]
    return pd.concat(tables, ignore_index=True).dropna(subset="label")
