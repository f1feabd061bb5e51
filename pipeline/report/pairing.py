"""Two runs' predictions of the same clips: differences of scores, with intervals over people."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.evaluation.bootstrap import bootstrap_scores, percentile_interval, probability_better
from models.metrics import mean_pearson
from pipeline.clip_table import Rows, read_rows
from pipeline.params import Params, ParamsError, load_params
from pipeline.paths import BASELINES, CLIPS, FOLDS, OOF, PARAMS, PEOPLE, STACK
from pipeline.predictions import read_members, read_prediction_table

Predictions = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """How one row of the leaderboard has changed, on the clips of both runs.

    Attributes
    ----------
    gain : float
        Mean Pearson of the second run less that of the first.
    low, high : float
        Ends of its 95 % interval, from resamples of people that are the same for both.
    probability : float
        Share of the resamples in which the second is above the first; ties count half.
    """

    gain: float
    low: float
    high: float
    probability: float


@dataclass(frozen=True)
class Pairs:
    """What could be paired.

    Attributes
    ----------
    differences : dict of str to Difference
        By row of the leaderboard, those of both runs.
    n_clips, n_people : int
        What they rest on.
    note : str
        Why there is none, or what was left out; may be empty.
    """

    differences: dict[str, Difference]
    n_clips: int = 0
    n_people: int = 0
    note: str = ""


@dataclass(frozen=True)
class _Run:
    rows: Rows
    params: Params
    predictions: Mapping[str, Predictions]


def pair_runs(before: Path, after: Path, split: str) -> Pairs:
    """Compare the predictions of two runs, row by row of the leaderboard.

    Parameters
    ----------
    before, after : Path
        Folders laid out like the repository.
    split : {"val", "test", "oof"}
        Whose clips. Those count that both runs have there, with the same labels.
    """
    try:
        one, two = _read(before), _read(after)
    except (ParamsError, OSError, KeyError, ValueError) as error:  # of another version of `eri`
        return Pairs({}, note=f"No paired differences: {error}")
    targets = [name for name in one.params.targets if name in two.params.targets]
    names = [name for name in one.predictions if name in two.predictions]
    ids, n_dropped = _common_clips(one, two, targets, split)
    if not (ids and targets and names):
        return Pairs({}, note="No paired differences: the runs share no labelled clips and rows.")
    y, people = _at(one, one.rows.y, targets, ids), one.rows.people[_places(one, ids)]
    members = [
        _at(run, run.predictions[name], targets, ids) for name in names for run in (one, two)
    ]
    n_resamples = two.params.evaluation.n_resamples
    resampled = bootstrap_scores(y, np.stack(members), people, n_resamples, two.params.seed)
    found = {}
    for k, name in enumerate(names):
        first, second = 2 * k, 2 * k + 1
        ends = percentile_interval(resampled[second] - resampled[first])
        gain = mean_pearson(y, members[second]) - mean_pearson(y, members[first])
        better = probability_better(resampled[second], resampled[first])
        found[name] = Difference(gain, ends.low, ends.high, better)
    note = f"{n_dropped} clips are not in both runs with the same labels." if n_dropped else ""
    return Pairs(found, len(ids), len(set(people)), note)


def _read(folder: Path) -> _Run:
    params = load_params(folder / PARAMS, check_heads=False)
    rows = read_rows(params, folder / CLIPS, folder / FOLDS, folder / PEOPLE)
    heads, encoders, targets = list(params.heads), params.feature_names, params.targets
    predictions = {
        **read_prediction_table(folder / STACK, rows, targets),
        **dict(read_members(heads, encoders, rows, targets, folder / OOF)),
    }
    baselines = read_prediction_table(folder / BASELINES, rows, targets)
    predictions |= {f"baseline/{name}": each for name, each in baselines.items()}
    return _Run(rows, params, predictions)


def _common_clips(one: _Run, two: _Run, targets: list[str], split: str) -> tuple[list[str], int]:
    """Return the ids that both runs score on the split, and how many more either has there."""
    first, second = (_labels(run, targets, split) for run in (one, two))
    both = first.index.intersection(second.index)
    a, b = first.loc[both].to_numpy(float), second.loc[both].to_numpy(float)
    same = np.isclose(a, b, rtol=0, atol=1e-9, equal_nan=True).all(axis=1)
    ids = [str(name) for name in both[same]]
    return ids, len(first.index.union(second.index)) - len(ids)


def _labels(run: _Run, targets: list[str], split: str) -> pd.DataFrame:
    clips = run.rows.clips
    chosen = clips["split"] == {"oof": "Train"}.get(split, split.capitalize())
    labels: pd.DataFrame = clips[chosen].set_index("clip_id")[targets].dropna(how="all")
    return labels


def _places(run: _Run, ids: list[str]) -> NDArray[np.intp]:
    places: NDArray[np.intp] = pd.Index(run.rows.clip_ids).get_indexer(pd.Index(ids))
    return places


def _at(run: _Run, values: NDArray[Any], targets: list[str], ids: list[str]) -> Predictions:
    columns = [run.params.targets.index(name) for name in targets]
    return np.asarray(values[_places(run, ids)][:, columns], np.float64)
