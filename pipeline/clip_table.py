"""The clip table: labels joined with what the index found in the files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.clips import index_files
from models.folds import assign_folds
from pipeline.labels import person_of, read_labels
from pipeline.params import Params, ParamsError
from pipeline.paths import CLIPS

HELD_SPLITS = ("Val", "Test")


def build_clip_table(params: Params) -> pd.DataFrame:
    """Read the label table, hash and probe its files, and join the two.

    Returns
    -------
    DataFrame
        Columns as in the contract: ``clip_id, path, split, group, sha256, duration_s,
        frame_rate_hz, has_video, has_audio, error_step, error_reason``, the targets, then the label
        table's further columns. Paths are relative to the working folder.

    Raises
    ------
    LabelError
        When the label table cannot be used.
    """
    labels = read_labels(params.data.labels, params.targets)
    media = params.data.media
    paths = dict(zip(labels["clip_id"], (media / path for path in labels["path"]), strict=True))
    files = index_files(paths).drop(columns="clip_id")
    table = pd.concat([labels.drop(columns="path").reset_index(drop=True), files], axis=1)
    first = ["clip_id", "path", "split", "group", *files.columns[1:], *params.targets]
    return table[first + [column for column in table if column not in first]]


def read_clip_table(path: Path = CLIPS) -> pd.DataFrame:
    """Read the clip table that the index stage wrote.

    Raises
    ------
    ParamsError
        When there is none yet.
    """
    if not path.is_file():
        raise ParamsError(f"there is no clip table {path}: run `dvc repro`")
    return pd.read_parquet(path)


@dataclass(frozen=True)
class Rows:
    """Which rows of the clip table take which part in fitting.

    Attributes
    ----------
    clips : DataFrame
        The clip table, Train rows first, then Val and Test; index 0 to n-1.
    n_train : int
        Number of Train rows.
    y : ndarray of float64, shape (n_clips, n_targets)
        Targets; NaN where unlabelled.
    people : ndarray of str objects, shape (n_clips,)
        The person of each clip.
    fold_of_row : ndarray of int64, shape (n_train,)
        The fold of each Train row, by person.
    """

    clips: pd.DataFrame
    n_train: int
    y: NDArray[np.float64]
    people: NDArray[np.object_]
    fold_of_row: NDArray[np.int64]

    @property
    def clip_ids(self) -> list[str]:
        """Clip ids in the order of the rows."""
        return list(self.clips["clip_id"])


def arrange_rows(clips: pd.DataFrame, params: Params) -> Rows:
    """Order the clip table for fitting, and assign folds by person.

    Raises
    ------
    ValueError
        When Train has fewer people than folds.
    """
    is_train = clips["split"] == "Train"
    ordered = pd.concat([clips[is_train], clips[~is_train]], ignore_index=True)
    n_train = int(is_train.sum())
    people = person_of(ordered).to_numpy(object)
    return Rows(
        clips=ordered,
        n_train=n_train,
        y=ordered[list(params.targets)].to_numpy(np.float64),
        people=people,
        fold_of_row=assign_folds(people[:n_train], params.folds.n_folds, params.seed),
    )


def people_across_splits(clips: pd.DataFrame) -> Sequence[str]:
    """Return the groups that have clips in more than one split: their scores leak identity."""
    n_splits = clips.dropna(subset="group").groupby("group")["split"].nunique()
    return list(n_splits.index[n_splits > 1])
