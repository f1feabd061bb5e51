"""The leaderboard: named predictions scored by split, and laid out as one table, best first.

Rows are called ``stack``, ``<head>/<view>`` and ``baseline/<name>``. Splits are ``val`` and
``test``, where labelled, and ``oof``: Train, predicted out of fold.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.evaluation.scores import Score, best_first, better_than_best, score_predictions
from models.metrics import official_mean_pearson
from pipeline.clip_table import Rows
from pipeline.params import Params, left_out_note
from pipeline.tables import laid_out, number_text, records

STACK = "stack"
BASELINE = "baseline/"
SPLITS = {"val": "Val", "oof": "Train", "test": "Test"}
"""The clips of each split; the first one that there is decides who is best."""

UNSCORED_NOTE = (
    "There is no score: a correlation wants a target with two labelled clips, and out of fold two "
    "in one fold. Label more clips."
)

N_DIGITS = 6
"""Below them a score means nothing."""

Predictions = NDArray[np.float64]
_Numbers = TypeVar("_Numbers", pd.DataFrame, "pd.Series[float]")


def rows_of_splits(rows: Rows) -> dict[str, NDArray[np.bool_]]:
    """Mark the clips of each split (n_clips,): Train, and Val and Test where they can be scored.

    For that some target has to be labelled in two of their clips.
    """
    marked = {split: (rows.clips["split"] == name).to_numpy(bool) for split, name in SPLITS.items()}
    return {
        split: chosen
        for split, chosen in marked.items()
        if split == "oof" or (np.isfinite(rows.y[chosen]).sum(axis=0) > 1).any()
    }


def score(
    predictions: Mapping[str, Predictions],
    rows: Rows,
    params: Params,
    split: str,
    among: NDArray[np.bool_] | None = None,
) -> dict[str, Score]:
    """Score named predictions on one split; out of fold by the mean of the folds' correlations.

    Parameters
    ----------
    predictions : mapping of str to ndarray of float64, shape (n_clips, n_targets)
        In the order of `rows`.
    rows, params : Rows and Params
        Targets, people and folds; how many resamples of people intervals rest on, and their seed.
    split, among : {"val", "test", "oof"} and ndarray of bool, shape (n_clips,), optional
        Which clips are scored, and only these of them. Scores of several calls with the same clips
        can be compared: they rest on the same resamples.
    """
    if not predictions:
        return {}
    chosen = (rows.clips["split"] == SPLITS[split]).to_numpy(bool)
    chosen = chosen if among is None else chosen & among
    scores = score_predictions(
        rows.y[chosen],
        np.stack([each[chosen] for each in predictions.values()]),
        rows.people[chosen],
        params.evaluation.n_resamples,
        params.seed,
        rows.fold_of_row[chosen[: rows.n_train]] if split == "oof" else None,
    )
    return dict(zip(predictions, scores, strict=True))


def score_table(scores: Mapping[str, Score], targets: Sequence[str], split: str) -> pd.DataFrame:
    """Lay the scores of one split out as a table, best first.

    Returns
    -------
    DataFrame
        ``name``; ``mean_pearson`` with its 95 % interval ``ci95_low`` and ``ci95_high`` over
        people; ``better_than_best``, the share of the resamples in which a row is above the first
        one; for ``oof`` ``pooled_mean_pearson``, of all folds at once; ``constant``, the targets
        whose predictions do not vary, or ``all``; then ``pearson_<target>``.
    """
    each, names = list(scores.values()), np.array(targets, object)
    columns = {
        "mean_pearson": [score.mean_pearson for score in each],
        "ci95_low": [score.interval.low for score in each],
        "ci95_high": [score.interval.high for score in each],
        "better_than_best": better_than_best(each),
    }
    if split == "oof":
        columns["pooled_mean_pearson"] = [score.pooled_mean_pearson for score in each]
    n_columns = len(columns)
    columns |= {f"pearson_{t}": [float(s.pearson[k]) for s in each] for k, t in enumerate(targets)}
    table = rounded(pd.DataFrame(columns, dtype=np.float64))
    constant = ["all" if s.constant.all() else ", ".join(names[s.constant]) for s in each]
    table.insert(n_columns, "constant", np.array(constant, object))
    table.insert(0, "name", np.array(list(scores), object))
    return table.iloc[best_first(each)].reset_index(drop=True)


def score_splits(
    predictions: Mapping[str, Predictions], rows: Rows, params: Params
) -> dict[str, pd.DataFrame]:
    """Score named predictions (see `score`) on every split that has labels; tables by split.

    They are as `score_table`; on Val and Test with ``official_mean_pearson``, the challenge's own,
    which is undefined as soon as one target is constant or a clip is unlabelled.
    """
    tables = {}
    for split, chosen in rows_of_splits(rows).items():
        table = score_table(score(predictions, rows, params, split), params.targets, split)
        if split != "oof":
            y, given = rows.y[chosen], (predictions[name][chosen] for name in table["name"])
            official = pd.Series([official_mean_pearson(y, each) for each in given], dtype=float)
            table.insert(list(table).index("constant"), "official_mean_pearson", rounded(official))
        tables[split] = table
    return tables


def leaderboard(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Put tables of `score_splits` side by side, in the order of the first: best first.

    Columns are ``name``, then those of each split, called ``val_mean_pearson`` and the like.
    """
    by_name = [table.set_index("name").add_prefix(f"{split}_") for split, table in tables.items()]
    return pd.concat(by_name, axis=1).reset_index()


def leaderboard_text(board: pd.DataFrame, more: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Lay out a leaderboard as text: per row the score on each split, and how sure it is.

    `more` are further columns, and what readers call them. ``P > best`` is of the split that the
    board is sorted by, as are ``official``, the challenge's score where it differs from ours, and
    ``constant``, the targets whose predictions do not vary: these two are left out where empty.
    """
    splits, names = shown_splits(board), {"name": "head/view"}
    for split in splits:
        names |= {f"{split}_mean_pearson": f"{split} r", f"{split}_ci95_low": f"{split} 95 % CI"}
    main = board_of_split(board, splits[0])
    official = main.get("official_mean_pearson", main["mean_pearson"])  # there is none out of fold
    differs = main["mean_pearson"].notna() & (main["mean_pearson"] != official)
    shown = board.assign(
        official=number_text(official, undefined="undefined").where(differs, ""),
        better_than_best=main["better_than_best"],
        constant=main["constant"].astype("string").fillna(""),  # empty in a file is missing
    )
    names |= {"official": "official", "oof_pooled_mean_pearson": "oof pooled"}
    names |= {"better_than_best": "P > best", "constant": "constant"}
    empty = {name for name in ("official", "constant") if not (shown[name] != "").any()}
    kept = {key: name for key, name in names.items() if key in {*shown} - empty}
    return laid_out(shown, {**kept, **(more or {})})


def shown_splits(board: pd.DataFrame) -> list[str]:
    """Return the splits that a leaderboard has scores of, the one it is sorted by first."""
    return [split for split in SPLITS if f"{split}_mean_pearson" in board]


def board_of_split(board: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return the columns of one split of a leaderboard, called as those of `score_table`."""
    kept = [name for name in board if name == "name" or str(name).startswith(f"{split}_")]
    return board[kept].rename(columns=lambda name: str(name).removeprefix(f"{split}_"))


def notes(params: Params, scores: "pd.Series[float]") -> list[str]:
    """Return what has to be said wherever these scores, one per row, are shown."""
    specs = params.encoders.items()
    random = [name for name, spec in specs if getattr(spec, "weights", None) == "random"]
    said = [left_out_note(params.left_out)] if params.left_out else []
    if random:
        said.append(
            f"Encoders with random weights: {', '.join(random)}. These scores show that the "
            "pipeline works, not what pretrained encoders reach."
        )
    return [*said, UNSCORED_NOTE] if len(scores) and scores.isna().all() else said


def metrics(tables: Mapping[str, pd.DataFrame], targets: Sequence[str]) -> dict[str, Any]:
    """Return the scores of `score_splits` as `metrics.json` has them, for `json.dumps`.

    ``stack``, ``heads`` by ``<head>/<view>`` and ``baselines`` by name have by split the columns of
    the table, but ``ci95`` in place of its two ends, and ``pearson`` by target. What is undefined
    is None; ``constant`` is there only where a target is.
    """
    found: dict[str, Any] = {STACK: {}, "heads": {}, "baselines": {}}
    for split, table in tables.items():
        for record in records(table):
            name = record.pop("name")
            record["ci95"] = [record.pop("ci95_low"), record.pop("ci95_high")]
            record["pearson"] = {target: record.pop(f"pearson_{target}") for target in targets}
            if not record["constant"]:
                del record["constant"]
            kind = "baselines" if name.startswith(BASELINE) else "heads"
            of_kind = found if name == STACK else found[kind]
            of_kind.setdefault(name.removeprefix(BASELINE), {})[split] = record
    return found


def rounded(numbers: _Numbers) -> _Numbers:
    """Round scores below the last digit that means anything, without a -0.0."""
    near = numbers.round(N_DIGITS)
    return near.mask(near == 0, 0)
