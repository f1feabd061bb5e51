"""The label table that a user brings; the clip table, with what the index found; and its folds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.evaluation.slices import column_numbers
from pipeline.dialects import to_numbers
from pipeline.findings import Findings, RefusedError
from pipeline.params import MADE_BY_INDEX, Params, ParamsError
from pipeline.paths import CLIPS, FOLDS
from pipeline.reading import check_columns as require_columns
from pipeline.reading import read_text_table

SPLITS = ("Train", "Val", "Test")

MOST_VALUES = 50
"""Values of a column of text that are told apart, the most frequent ones."""


class LabelError(RefusedError):
    """A label table that cannot be used; `said` goes on from its name."""

    def __init__(self, path: Path, said: str) -> None:
        kind = "label tables that cannot be used"
        super().__init__(kind, [path], f"the label table {path} {said}")


def read_labels(path: Path, targets: Sequence[str]) -> pd.DataFrame:
    """Read a label table: CSV in any usual form, or Parquet.

    Parameters
    ----------
    path : Path
        Columns: ``clip_id`` (unique text), ``split`` (Train, Val or Test), one per target (numbers
        in [0, 1]; empty = unlabelled), optionally ``path`` (empty, or no such column: a clip
        without media, for imported features) and ``group`` (person; without it every clip counts
        as a person of its own). Further columns are kept for slicing.
    targets : sequence of str
        The target columns.

    Returns
    -------
    DataFrame
        ``clip_id, path, split, group``, the targets as float64, then the other columns, in the
        table's order of rows.

    Raises
    ------
    LabelError
        For a missing file, duplicate or empty ids, an unknown split, a target that is no number in
        [0, 1], or one without a label in Train.
    RefusedError
        When the file cannot be read as a table, or a column is missing.
    """
    if not path.is_file():
        done = "set `data.labels` in params.yaml, or bring data in with `eri import`"
        raise LabelError(path, f"is not there: {done}")
    table = read_text_table(path, Findings())  # ids like 00017 keep their zeros
    more = ". Expected are clip_id, split and one column per entry of `targets` in params.yaml"
    require_columns(table, ["clip_id", "split", *targets], path, more)
    if reserved := [name for name in table if name in MADE_BY_INDEX]:
        raise LabelError(path, f"has the column(s) {reserved}, which the index makes: rename them")
    first = ["clip_id", "path", "split", "group", *targets]
    table = table.reindex(columns=[*dict.fromkeys([*first, *table])])
    table = table.astype({"path": "string", "group": "string"})  # also where there are none
    ids, splits = table["clip_id"], table["split"]
    rules: list[tuple[str, Any, pd.Series]] = [
        ("an empty clip_id", ids.isna(), ids),
        ("a clip_id that is not unique", ids.duplicated(keep=False), ids),
        (f"a split other than {', '.join(SPLITS)}", ~splits.isin(SPLITS), splits),
    ]
    for target in targets:
        given, (values, no_number) = table[target], to_numbers(table[target])
        rules += [(f"a {target} that is no number", no_number, given)]
        rules += [(f"a {target} outside [0, 1]", (values < 0) | (values > 1), given)]
        table[target] = values
    for rule, wrong, found in rules:
        if wrong.any():
            rows = list(zip(ids[wrong], found[wrong], strict=True))[:3]
            examples = "; ".join(" = ".join(dict.fromkeys(map(str, row))) for row in rows)
            n_rows = f"{wrong.sum()} of {len(table)} rows"
            raise LabelError(path, f"has {n_rows} with {rule}: {examples}")
    of_train = table.loc[table["split"] == "Train", [*targets]]
    if blank := [repr(target) for target in of_train if of_train[target].isna().all()]:
        said = f"has no clip with split Train that is labelled for {', '.join(blank)}: label some, "
        raise LabelError(path, f"{said}or take them out of `targets` in params.yaml")
    return table


def person_of(table: pd.DataFrame) -> pd.Series:
    """Return who each clip shows; a clip without a group is a person of its own."""
    alone = "clip:" + table["clip_id"].astype("string")
    return table["group"].astype("string").fillna(alone)


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
    ParamsError
        When `evaluation` names a column that is not there.
    """
    from features.extraction.index import index_files  # readers of the table need not wait for it

    labels = read_labels(params.data.labels, params.targets)
    paths = {
        clip_id: None if pd.isna(path) else params.data.media / path
        for clip_id, path in zip(labels["clip_id"], labels["path"], strict=True)
    }
    files = index_files(paths).drop(columns="clip_id")
    table = pd.concat([labels.drop(columns="path").reset_index(drop=True), files], axis=1)
    check_columns(table, params)  # hours before they are used
    first = ["clip_id", "path", "split", "group", *files.columns[1:], *params.targets]
    return table[[*first, *table.columns.difference(first, sort=False)]]


def read_clip_table() -> pd.DataFrame:
    """Read the clip table that the stage `index` wrote; without one, a ParamsError."""
    return _read(CLIPS, "clip table")


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
        The saved fold of each Train row, by person.
    """

    clips: pd.DataFrame
    n_train: int
    y: NDArray[np.float64]
    people: NDArray[np.object_]
    fold_of_row: NDArray[np.int64]

    def fitted_on(self, refit_on: str) -> NDArray[np.bool_]:
        """Mark the labelled clips of Train, or with ``train+val`` of Val too (n_clips,)."""
        splits = ["Train"] if refit_on == "train" else ["Train", "Val"]
        labelled = np.isfinite(self.y).any(axis=1)
        return np.asarray(labelled & self.clips["split"].isin(splits).to_numpy(bool))

    @property
    def clip_ids(self) -> list[str]:
        """Clip ids in the order of the rows."""
        return list(self.clips["clip_id"])


def make_folds(clips: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Return ``clip_id, person, fold``: people whole, folds alike in their targets.

    The ``group`` of a clip says who it shows; its fold is -1 outside of Train. Fewer people in
    Train than folds are a DataError.
    """
    from models.folds import assign_folds

    table = pd.DataFrame({"clip_id": clips["clip_id"], "person": person_of(clips), "fold": -1})
    train = clips["split"] == "Train"
    y = clips.loc[train, list(params.targets)].to_numpy(np.float64)
    people = table.loc[train, "person"].to_numpy(object)
    table.loc[train, "fold"] = assign_folds(people, params.folds.n_folds, params.seed, y)
    return table


def read_rows(params: Params) -> Rows:
    """Read the clip table, its people and the saved folds, ordered for fitting.

    Raises
    ------
    ParamsError
        When one of them is missing, the table is of other targets or the folds of other clips, or
        `evaluation` names a column that is not there.
    """
    return arrange_rows(read_clip_table(), _read(FOLDS, "table of people and folds"), params)


def arrange_rows(clips: pd.DataFrame, folds: pd.DataFrame, params: Params) -> Rows:
    """Order the clip table, and give each clip its person and each Train row its fold.

    `folds` is from `make_folds`, in any order. Errors are those of `read_rows`.
    """
    check_columns(clips, params)
    if lacking := [target for target in params.targets if target not in clips]:
        raise ParamsError(f"{CLIPS} is of other targets, without {lacking}: run `dvc repro`")
    is_train = clips["split"] == "Train"
    ordered = pd.concat([clips[is_train], clips[~is_train]], ignore_index=True)
    n_train = int(is_train.sum())
    if len(folds) != len(clips) or set(folds["clip_id"]) != set(clips["clip_id"]):
        raise ParamsError(
            f"{FOLDS} is of other clips ({len(folds)}) than the clip table ({len(clips)}): run "
            "`dvc repro`, which makes it anew"
        )
    of_clip = folds.set_index("clip_id").loc[ordered["clip_id"]].reset_index()
    person, alone = of_clip["person"], person_of(ordered.assign(group=None))
    return Rows(
        clips=ordered.assign(group=person.mask(person == alone)),
        n_train=n_train,
        y=ordered[list(params.targets)].to_numpy(np.float64),
        people=person.to_numpy(object),
        fold_of_row=of_clip["fold"].to_numpy()[:n_train],
    )


def column_values(column: pd.Series) -> NDArray[np.object_]:
    """Return a column as `models.evaluation.slices` reads it: None where missing."""
    values = column.astype(object)
    return values.where(values.notna(), None).to_numpy()


def column_vectors(column: pd.Series) -> NDArray[np.float32]:
    """Return a column of the clip table as inputs (n_clips, n_columns).

    Numbers, also those that a CSV file has as text, are one column, NaN where missing. Anything
    else is a column of 0 and 1 per value, for the 50 most frequent ones.
    """
    numbers = column_numbers(column_values(column))
    if numbers is not None:
        return numbers.astype(np.float32)[:, None]
    text = column.astype("string")
    values = sorted(text.value_counts().index[:MOST_VALUES])
    return np.stack(
        [(text == value).fillna(False).to_numpy(np.float32) for value in values], axis=1
    )


def people_across_splits(clips: pd.DataFrame) -> Sequence[str]:
    """Return the groups that have clips in more than one split: their scores leak identity."""
    n_splits = clips.dropna(subset="group").groupby("group")["split"].nunique()
    return list(n_splits.index[n_splits > 1])


def check_columns(table: pd.DataFrame, params: Params) -> None:
    """Raise a ParamsError unless the label or clip table has what `evaluation` names.

    A baseline must not be a target.
    """
    there = {"path", "group", *MADE_BY_INDEX, *map(str, table)}
    known = {"slices": there, "baselines": there.difference(params.targets)}
    for key, columns in known.items():
        unknown = [name for name in getattr(params.evaluation, key) if name not in columns]
        if unknown:
            raise ParamsError(
                f"`evaluation.{key}` names {unknown}: expected columns of the label table that are "
                f"no targets, some of {sorted(there.difference(params.targets))}"
            )


def _read(path: Path, what: str) -> pd.DataFrame:
    if not path.is_file():
        raise ParamsError(f"there is no {what} {path}: run `dvc repro`")
    return pd.read_parquet(path)
