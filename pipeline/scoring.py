"""Scores of predictions by split and slice, in the form of `metrics.json` and of the tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.evaluation.scores import better_than_best, score_predictions
from models.evaluation.slices import score_slices, slice_rows
from models.metrics import official_mean_pearson
from pipeline.clip_table import HELD_SPLITS, Rows, column_values
from pipeline.params import Params

Score = dict[str, Any]
Predictions = NDArray[np.float64]

SLICE_COLUMNS = [
    *("column", "slice", "split", "name", "n_rows", "n_people"),
    *("mean_pearson", "ci95_low", "ci95_high"),
]


def score_splits(
    predictions: Mapping[str, Predictions], rows: Rows, params: Params
) -> dict[str, dict[str, Score]]:
    """Score predictions out of fold and on each labelled held-out split, and compare them.

    Parameters
    ----------
    predictions : mapping of str to ndarray of float64, shape (n_clips, n_targets)
        By name (``stack``, ``<head>/<view>``, ``baseline/<name>``), in the order of `rows`.
    rows : Rows
        Targets, people and folds.
    params : Params
        Target names, number of resamples and seed.

    Returns
    -------
    dict
        By name, then by split: ``oof``, and ``val`` and ``test`` where labelled. Each score has
        ``mean_pearson``, ``official_mean_pearson`` (the challenge's: None as soon as one target's
        predictions are constant or a clip is unlabelled), ``ci95`` (person-wise bootstrap),
        ``better_than_best`` and ``pearson`` by target. ``better_than_best`` is the share of the
        resamples in which it is above the split's best row, None for that row itself. ``constant``
        lists the targets whose predictions are constant (out of fold: inside every fold), where
        there are any. Out of fold, every correlation is the mean of those within folds, and
        ``pooled_mean_pearson`` is the one over all rows at once, which is biased when the folds'
        models differ in mean. An undefined score is None.
    """
    scores: dict[str, dict[str, Score]] = {name: {} for name in predictions}
    for split, chosen in _splits(rows).items():
        members = [each[chosen] for each in predictions.values()]
        fold = rows.fold_of_row if split == "oof" else None
        scored = _score(members, rows.y[chosen], rows.people[chosen], fold, params)
        for by_split, score in zip(scores.values(), scored, strict=True):
            by_split[split] = score
    return scores


def leaderboard(scores: Mapping[str, Mapping[str, Score]], targets: Sequence[str]) -> pd.DataFrame:
    """Lay scores out as a table, best first (on Val, or out of fold where Val has no labels).

    Parameters
    ----------
    scores : mapping
        What `score_splits` gave.
    targets : sequence of str
        In the order of the columns.

    Returns
    -------
    DataFrame
        ``name``, then per split ``<split>_mean_pearson``, ``<split>_ci95_low`` and ``_high``,
        ``<split>_better_than_best``, ``<split>_official_mean_pearson``
        (``oof_pooled_mean_pearson`` too), then ``constant`` (the
        targets with constant predictions on any split, or ``all``), then ``<split>_<target>``.
    """
    rows = []
    for name, by_split in scores.items():
        row: dict[str, object] = {"name": name}
        for split in _order(by_split):
            score = by_split[split]
            row[f"{split}_mean_pearson"] = score["mean_pearson"]
            row[f"{split}_ci95_low"], row[f"{split}_ci95_high"] = score["ci95"]
            row[f"{split}_better_than_best"] = score["better_than_best"]
            row[f"{split}_official_mean_pearson"] = score["official_mean_pearson"]
            if "pooled_mean_pearson" in score:
                row[f"{split}_pooled_mean_pearson"] = score["pooled_mean_pearson"]
        flagged = {target for score in by_split.values() for target in score.get("constant", [])}
        constant = [target for target in targets if target in flagged]
        row["constant"] = "all" if len(constant) == len(targets) else ", ".join(constant)
        for split in _order(by_split):
            pearsons = by_split[split]["pearson"]
            row |= {f"{split}_{target}": pearsons[target] for target in targets}
        rows.append(row)
    table = pd.DataFrame(rows)
    main = "val_mean_pearson" if "val_mean_pearson" in table else "oof_mean_pearson"
    return table.sort_values(main, ascending=False, kind="stable", ignore_index=True)


def slice_table(predictions: Mapping[str, Predictions], rows: Rows, params: Params) -> pd.DataFrame:
    """Score predictions inside the slices of every column of `evaluation.slices`.

    Bands of numbers are cut over all clips, so that they are the same on every split.

    Parameters
    ----------
    predictions, rows, params
        As in `score_splits`.

    Returns
    -------
    DataFrame
        ``SLICE_COLUMNS``; one row per column, slice, split and name, and none without slices.
    """
    table = []
    for column in params.evaluation.slices:
        slices = slice_rows(column_values(rows.clips[column]))
        for split, chosen in _splits(rows).items():
            fold = rows.fold_of_row if split == "oof" else None
            part = {name: marked[chosen] for name, marked in slices.items()}
            for name, predicted in predictions.items():
                scored = score_slices(
                    *(rows.y[chosen], predicted[chosen], rows.people[chosen], part),
                    *(params.evaluation.n_resamples, params.seed, fold),
                )
                for each in scored:
                    score, ends = each.score, each.score.interval
                    numbers = map(_number, (score.mean_pearson, ends.low, ends.high))
                    table.append(
                        (column, each.name, split, name, each.n_rows, each.n_people, *numbers)
                    )
    return pd.DataFrame(table, columns=SLICE_COLUMNS)


def _splits(rows: Rows) -> dict[str, NDArray[np.bool_]]:
    """Rows of each split that has labels; Train is scored out of fold."""
    splits = {"oof": np.arange(len(rows.clips)) < rows.n_train}
    for split in HELD_SPLITS:
        chosen = (rows.clips["split"] == split).to_numpy()
        if np.isfinite(rows.y[chosen]).any():
            splits[split.lower()] = chosen
    return splits


def _order(by_split: Mapping[str, Score]) -> list[str]:
    return [split for split in ("val", "test", "oof") if split in by_split]


def _score(
    members: Sequence[Predictions],
    y_true: NDArray[np.float64],
    people: NDArray[np.object_],
    fold_of_row: NDArray[np.int64] | None,
    params: Params,
) -> list[Score]:
    n_resamples = params.evaluation.n_resamples
    scored = score_predictions(
        y_true, np.stack(members), people, n_resamples, params.seed, fold_of_row
    )
    scores = []
    for predicted, member, better in zip(members, scored, better_than_best(scored), strict=True):
        by_target = map(_number, member.pearson)
        score: Score = {
            "mean_pearson": _number(member.mean_pearson),
            "official_mean_pearson": _number(official_mean_pearson(y_true, predicted)),
            "ci95": [_number(member.interval.low), _number(member.interval.high)],
            "better_than_best": _number(better),
            "pearson": dict(zip(params.targets, by_target, strict=True)),
        }
        if fold_of_row is not None:
            score["pooled_mean_pearson"] = _number(member.pooled_mean_pearson)
        if member.constant.any():
            constant = np.flatnonzero(member.constant)
            score["constant"] = [params.targets[column] for column in constant]
        scores.append(score)
    return scores


def _number(value: float) -> float | None:
    """Round below the last digit that means anything; JSON has no NaN."""
    return round(float(value), 6) + 0.0 if np.isfinite(value) else None  # and no -0.0
