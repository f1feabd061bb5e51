"""What the report says of the data: sizes, labels, warnings, and clips that lack something."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.metrics import constant_columns
from pipeline.clip_table import Rows, people_across_splits
from pipeline.labels import SPLITS
from pipeline.report.diagnostics import mean_by_people

MOST_ROWS = 50
"""Longer tables of clips are cut, and say so."""

_FEW_PEOPLE = 10
_SHIFT_SDS = 0.25
_SHIFT_ERRORS = 3.0


@dataclass(frozen=True)
class SplitSummary:
    """The clips of one split.

    Attributes
    ----------
    split : str
        Train, Val or Test.
    clips, labelled, people : int
        Clips, those with a label, and the people that they show.
    hours, median_s : float
        Length of all clips, and the median length of one; NaN where unknown.
    with_video, with_audio : int
        Clips with such a stream.
    lacking, lacking_all : int
        Clips that lack features of some encoder, and of every one.
    """

    split: str
    clips: int
    labelled: int
    people: int
    hours: float
    median_s: float
    with_video: int
    with_audio: int
    lacking: int
    lacking_all: int


@dataclass(frozen=True)
class LabelSummary:
    """The labels of one target on one split: how many, mean, standard deviation and range."""

    target: str
    split: str
    n: int
    mean: float
    sd: float
    low: float
    high: float


@dataclass(frozen=True)
class ClipList:
    """Clips that something went wrong with, counted in full and listed in part.

    Attributes
    ----------
    n : int
        How many there are.
    counts : list of (str, int)
        By what went wrong, the commonest first.
    columns : list of str
        Of the rows.
    rows : list of list of str
        The first `MOST_ROWS`.
    """

    n: int
    counts: list[tuple[str, int]]
    columns: list[str]
    rows: list[list[str]]


def summarize_splits(rows: Rows, imputed: pd.DataFrame) -> list[SplitSummary]:
    """Describe every split that has clips.

    Parameters
    ----------
    rows : Rows
        All clips.
    imputed : DataFrame
        What ``imputed.csv`` holds.
    """
    split_of_row = rows.clips["split"].to_numpy()
    labelled = np.isfinite(rows.y).any(axis=1)
    duration_s = durations(rows.clips)
    summaries = []
    for split, chosen in _splits(split_of_row):
        known = duration_s[chosen & np.isfinite(duration_s)]
        lacking = imputed[imputed["split"] == split]
        summaries.append(
            SplitSummary(
                split=split,
                clips=int(chosen.sum()),
                labelled=int((chosen & labelled).sum()),
                people=len(np.unique(rows.people[chosen].astype(str))),
                hours=float(known.sum() / 3600) if len(known) else np.nan,
                median_s=float(np.median(known)) if len(known) else np.nan,
                with_video=_count(rows.clips, "has_video", chosen),
                with_audio=_count(rows.clips, "has_audio", chosen),
                lacking=len(lacking),
                lacking_all=int(lacking["all_missing"].astype(bool).sum()),
            )
        )
    return summaries


def summarize_labels(rows: Rows, targets: Sequence[str]) -> list[LabelSummary]:
    """Describe the labels of every target on every split that has some."""
    summaries = []
    for column, target in enumerate(targets):
        for split, chosen in _splits(rows.clips["split"].to_numpy()):
            values = rows.y[chosen, column]
            values = values[np.isfinite(values)]
            if len(values):
                numbers = (values.mean(), values.std(), values.min(), values.max())
                summaries.append(LabelSummary(target, split, len(values), *map(float, numbers)))
    return summaries


def data_warnings(rows: Rows, targets: Sequence[str]) -> list[str]:
    """Say what a reader has to know of the data before believing a score.

    People or files in several splits, targets that do not vary, labels of Val and Test that are
    not like those of Train, and splits of few people.
    """
    return [
        *_shared_people(rows.clips),
        *_shared_files(rows.clips),
        *_constant_targets(rows, targets),
        *_shifted_targets(rows, targets),
        *_few_people(rows),
    ]


def durations(clips: pd.DataFrame) -> NDArray[np.float64]:
    """Return the length of each clip in seconds [n_clips]; NaN where unknown."""
    if "duration_s" not in clips:
        return np.full(len(clips), np.nan)
    return clips["duration_s"].to_numpy(np.float64, na_value=np.nan)


def list_failures(failures: pd.DataFrame) -> ClipList:
    """Count an encoder's failures by step, and list the first.

    Parameters
    ----------
    failures : DataFrame
        ``clip_id, step, reason``; may be empty, and then without columns.
    """
    return _clip_list(failures, ["clip_id", "step", "reason"], "step")


def list_imputed(imputed: pd.DataFrame) -> ClipList:
    """Count the clips that lack features by the encoders lacking, and list the first."""
    return _clip_list(imputed, ["clip_id", "split", "missing", "reasons"], "missing")


def list_unusable(clips: pd.DataFrame) -> ClipList:
    """Count the files that the index could not use by step, and list the first."""
    if "error_step" not in clips:
        return _clip_list(pd.DataFrame(), [], "")
    failed = clips[clips["error_step"].notna()]
    failed = failed.rename(columns={"error_step": "step", "error_reason": "reason"})
    return _clip_list(failed, ["clip_id", "step", "reason"], "step")


def describe_people(record: Mapping[str, Any]) -> list[str]:
    """Say in sentences who the clips show, and how that is known.

    Parameters
    ----------
    record : mapping
        What ``people.json`` holds; may be empty.
    """
    if "n_people" not in record:
        return []
    by = f"faces ({record['encoder']})" if record["source"] == "faces" else "the label table"
    per = record["clips_per_person"]
    said = [
        f"{record['n_people']} people, by {by}; {per['min']:g} to {per['max']:g} clips of each, "
        f"half of them {per['median']:g} or fewer."
    ]
    if record.get("silhouette") is not None:
        said.append(f"Clusters of faces: silhouette {record['silhouette']:.2f}.")
    return said


def _shared_people(clips: pd.DataFrame) -> Iterator[str]:
    shared = people_across_splits(clips)
    if shared:
        yield (
            f"{len(shared)} people have clips in several splits ({_some(shared)}): scores may "
            "reward knowing the person"
        )


def _shared_files(clips: pd.DataFrame) -> Iterator[str]:
    if "sha256" not in clips:
        return
    files = clips[clips["sha256"].notna() & (clips["sha256"] != "")]
    n_splits = files.groupby("sha256")["split"].nunique()
    shared = files[files["sha256"].isin(n_splits.index[n_splits > 1])]
    if len(shared):
        yield (
            f"{len(shared)} clips are the same files in several splits "
            f"({_some(shared['clip_id'])}): their scores mean nothing"
        )


def _constant_targets(rows: Rows, targets: Sequence[str]) -> Iterator[str]:
    for split, chosen in _splits(rows.clips["split"].to_numpy()):
        constant = np.flatnonzero(constant_columns(rows.y[chosen], rows.y[chosen]))
        if len(constant):
            names = _some([targets[int(column)] for column in constant])
            yield f"{split}: labels that do not vary: {names}; they count as a correlation of zero"


def _shifted_targets(rows: Rows, targets: Sequence[str]) -> Iterator[str]:
    """Compare label means with Train's, by people: chance alone moves means of few people."""
    parts = dict(_splits(rows.clips["split"].to_numpy()))
    train = parts.pop("Train")
    for split, chosen in parts.items():
        shifted = []
        for column, target in enumerate(targets):
            here, there = (
                mean_by_people(rows.y[part, column], rows.people[part]) for part in (chosen, train)
            )
            labels = rows.y[train, column]
            spread = np.std(labels[np.isfinite(labels)]) if there.n_clips else np.nan
            error = np.hypot(here.high - here.low, there.high - there.low) / 4  # about one SE
            shift = here.mean - there.mean
            if abs(shift) > _SHIFT_SDS * spread and abs(shift) > _SHIFT_ERRORS * error:
                shifted.append(f"{target} {shift / spread:+.2f}")
        if shifted:
            yield (
                f"{split}: labels lie elsewhere than on Train, in standard deviations: "
                f"{', '.join(shifted)}"
            )


def _few_people(rows: Rows) -> Iterator[str]:
    labelled = np.isfinite(rows.y).any(axis=1)
    for split, chosen in _splits(rows.clips["split"].to_numpy()):
        n = len(np.unique(rows.people[chosen & labelled].astype(str)))
        if 0 < n < _FEW_PEOPLE:
            yield f"{split} has labels of {n} people only: its intervals say little"


def _splits(split_of_row: NDArray[Any]) -> list[tuple[str, NDArray[np.bool_]]]:
    found = [(split, split_of_row == split) for split in SPLITS]
    return [(split, chosen) for split, chosen in found if chosen.any()]


def _count(clips: pd.DataFrame, column: str, chosen: NDArray[np.bool_]) -> int:
    return int(clips.loc[chosen, column].astype(bool).sum()) if column in clips else 0


def _some(names: Sequence[str] | pd.Series) -> str:
    listed = [str(name) for name in names]
    more = f" and {len(listed) - 3} more" if len(listed) > 3 else ""
    return ", ".join(listed[:3]) + more


def _clip_list(table: pd.DataFrame, columns: list[str], by: str) -> ClipList:
    if table.empty:
        return ClipList(0, [], columns, [])
    counts = table[by].astype(str).value_counts()
    first = table[columns].head(MOST_ROWS).astype("string").fillna("")
    return ClipList(
        len(table),
        [(str(name), int(n)) for name, n in counts.items()],
        columns,
        first.to_numpy(object).tolist(),
    )
