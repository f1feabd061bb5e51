"""Scores of predictions by split, in the form of `metrics.json` and of the leaderboard."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.bootstrap import bootstrap_interval
from models.metrics import foldwise_pearson, pearson
from pipeline.clip_table import HELD_SPLITS, Rows
from pipeline.params import Params

Score = dict[str, Any]


def score_splits(predictions: NDArray[np.float64], rows: Rows, params: Params) -> dict[str, Score]:
    """Score one set of predictions out of fold and on each labelled held-out split.

    Parameters
    ----------
    predictions : ndarray of float64, shape (n_clips, n_targets)
        In the order of `rows`.
    rows : Rows
        Targets, people and folds.
    params : Params
        Target names, number of resamples and seed.

    Returns
    -------
    dict
        ``oof``, and ``val`` and ``test`` where labelled; each with ``mean_pearson``, ``ci95``
        (person-wise bootstrap) and ``pearson`` by target. ``oof`` also has
        ``foldwise_mean_pearson``, the mean of the correlations within folds: the pooled one is
        biased when fold means differ. An undefined score is None.
    """
    n = rows.n_train
    train = np.arange(len(rows.clips)) < n
    scores = {"oof": _score(predictions, rows, train, params)}
    foldwise = foldwise_pearson(rows.y[:n], predictions[:n], rows.fold_of_row)
    scores["oof"]["foldwise_mean_pearson"] = _number(_mean(foldwise))
    for split in HELD_SPLITS:
        chosen = (rows.clips["split"] == split).to_numpy()
        if np.isfinite(rows.y[chosen]).any():
            scores[split.lower()] = _score(predictions, rows, chosen, params)
    return scores


def leaderboard(scores: Mapping[str, Mapping[str, Score]], targets: Sequence[str]) -> pd.DataFrame:
    """Lay scores out as a table, best first (on Val, or out of fold where Val has no labels).

    Parameters
    ----------
    scores : mapping
        By name (``stack``, ``<head>/<view>``, ``baseline/<name>``): what `score_splits` gave.
    targets : sequence of str
        In the order of the columns.

    Returns
    -------
    DataFrame
        ``name``, then per split ``<split>_mean_pearson``, ``<split>_ci95_low`` and ``_high``
        (``oof_foldwise_mean_pearson`` too), then ``<split>_<target>``.
    """
    rows = []
    for name, by_split in scores.items():
        row: dict[str, object] = {"name": name}
        for split in _order(by_split):
            score = by_split[split]
            row[f"{split}_mean_pearson"] = score["mean_pearson"]
            row[f"{split}_ci95_low"], row[f"{split}_ci95_high"] = score["ci95"]
            if "foldwise_mean_pearson" in score:
                row[f"{split}_foldwise_mean_pearson"] = score["foldwise_mean_pearson"]
        for split in _order(by_split):
            pearsons = by_split[split]["pearson"]
            row |= {f"{split}_{target}": pearsons[target] for target in targets}
        rows.append(row)
    table = pd.DataFrame(rows)
    main = "val_mean_pearson" if "val_mean_pearson" in table else "oof_mean_pearson"
    return table.sort_values(main, ascending=False, kind="stable", ignore_index=True)


def _order(by_split: Mapping[str, Score]) -> list[str]:
    return [split for split in ("val", "test", "oof") if split in by_split]


def _score(
    predictions: NDArray[np.float64], rows: Rows, chosen: NDArray[np.bool_], params: Params
) -> Score:
    y_true, y_pred, people = rows.y[chosen], predictions[chosen], rows.people[chosen]
    by_target = pearson(y_true, y_pred)
    n_resamples = params.evaluation.n_resamples
    interval = bootstrap_interval(y_true, y_pred, people, n_resamples, params.seed)
    return {
        "mean_pearson": _number(_mean(by_target)),
        "ci95": [_number(interval.low), _number(interval.high)],
        "pearson": dict(zip(params.targets, map(_number, by_target), strict=True)),
    }


def _mean(by_target: NDArray[np.float64]) -> float:
    known = by_target[np.isfinite(by_target)]
    return float(known.mean()) if len(known) else float("nan")


def _number(value: float) -> float | None:
    """Round below the last digit that means anything; JSON has no NaN."""
    return round(float(value), 6) if np.isfinite(value) else None
