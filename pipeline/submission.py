"""What a run predicts: the challenge's file, and which of its clips lack some features."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.clip_table import Rows
from pipeline.paths import POOLED
from pipeline.settings_files import ParamsError
from pipeline.views import JOIN

FILE_ID = "File_ID"
"""The challenge's id column."""

IMPUTED_COLUMNS = ["clip_id", FILE_ID, "split", "missing", "all_missing", "reasons"]


def file_ids(clips: pd.DataFrame) -> "pd.Series[str]":
    """Return each clip's id as the challenge writes it.

    Parameters
    ----------
    clips : DataFrame
        The clip table. Its column ``file_id`` holds those ids; where it is empty or not there, the
        challenge's id is the clip's.
    """
    ids = clips["clip_id"].astype(str)
    if "file_id" not in clips:
        return ids
    own = clips["file_id"].astype("string")
    return ids.where((own.isna() | (own == "")).to_numpy(bool), own.astype(object))


def submission_table(
    predictions: NDArray[np.float64], clips: pd.DataFrame, targets: Sequence[str]
) -> pd.DataFrame:
    """Lay predictions out in the challenge's format.

    Parameters
    ----------
    predictions : ndarray of float64, shape (n_clips, n_targets)
        In the order of `clips`.
    clips : DataFrame
        The clip table.
    targets : sequence of str
        In the challenge's order.

    Returns
    -------
    DataFrame
        ``File_ID``, then the targets; one row per clip of Val and Test.

    Raises
    ------
    ParamsError
        When two of these clips have the same ``file_id``.
    """
    is_held = (clips["split"] != "Train").to_numpy(bool)
    ids = file_ids(clips)[is_held]
    refuse_repeated(ids)
    table = pd.DataFrame(predictions[is_held], columns=list(targets))
    table.insert(0, FILE_ID, ids.to_numpy(object))
    return table


def imputed_table(rows: Rows, failures: Mapping[str, Path], pooled: Path = POOLED) -> pd.DataFrame:
    """List the clips that lack the features of an encoder.

    Parameters
    ----------
    rows : Rows
        All clips.
    failures : mapping of str to Path
        By encoder or imported store, its failure table, which gives the reasons.
    pooled : Path
        The folder of the clip vectors that heads were fitted on.

    Returns
    -------
    DataFrame
        `IMPUTED_COLUMNS`, in the order of `rows`. ``missing`` joins encoders by ``+``;
        ``all_missing`` says that nothing was left to predict from, so that the prediction is that
        of a mean clip; ``reasons`` gives ``encoder: step: reason``, joined by semicolons.
    """
    reasons: dict[str, dict[str, str]] = {}
    for encoder in sorted(failures):  # as in views: nothing depends on the order of keys
        known = pq.read_table(pooled / f"{encoder}.parquet", columns=["clip_id"])
        said = _reasons(failures[encoder])
        for clip_id in pd.Index(rows.clip_ids).difference(known["clip_id"].to_pylist()):
            reasons.setdefault(clip_id, {})[encoder] = said.get(clip_id, "no features")
    table = rows.clips[["clip_id", "split"]].assign(**{FILE_ID: file_ids(rows.clips)})
    table = table[table["clip_id"].isin(list(reasons))]
    found = [reasons[clip_id] for clip_id in table["clip_id"]]
    return table.assign(
        missing=[JOIN.join(each) for each in found],
        all_missing=[len(each) == len(failures) for each in found],
        reasons=["; ".join(f"{name}: {why}" for name, why in each.items()) for each in found],
    )[IMPUTED_COLUMNS]


def refuse_repeated(ids: "pd.Series[str]") -> None:
    """Raise `ParamsError` when the challenge's ids of some clips are the same."""
    repeated = ids[ids.duplicated()].unique()
    if len(repeated):
        raise ParamsError(
            f"{len(repeated)} values of `file_id` belong to several clips, such as "
            f"{', '.join(map(repr, repeated[:3]))}: expected one of its own for each; correct the "
            "label table"
        )


def _reasons(path: Path) -> dict[str, str]:
    if not path.is_file():  # features that came from elsewhere
        return {}
    failures = pd.read_parquet(path, columns=["clip_id", "step", "reason"])
    said = failures["step"].astype(str) + ": " + failures["reason"].astype(str)
    return dict(zip(failures["clip_id"].astype(str), said, strict=True))
