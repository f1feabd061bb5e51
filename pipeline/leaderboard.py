"""The leaderboard: named predictions scored by split, and laid out as one table, best first.

Rows are called ``stack``, ``<head>/<view>`` and ``baseline/<name>``. Splits are ``val`` and
``test``, where labelled, and ``oof``: Train, predicted out of fold.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.evaluation.scores import Score, best_first, better_than_best, score_predictions
from models.evaluation.slices import scored_slices, slice_rows
from models.metrics import official_mean_pearson
from pipeline.clip_table import Rows, column_values
from pipeline.params import Params
from pipeline.tables import laid_out, number_text, records

STACK = "stack"
BASELINE = "baseline/"
SPLITS = {"val": "Val", "oof": "Train", "test": "Test"}
"""The clips of each split; the first one that there is decides who is best."""

RANDOM_NOTE = (
    "Encoders with random weights: {}. These scores show that the pipeline works, not what "
    "pretrained encoders reach."
)

SLICE_COLUMNS = [
    *("column", "slice", "split", "name", "n_rows", "n_people"),
    *("mean_pearson", "ci95_low", "ci95_high"),
]

Predictions = NDArray[np.float64]

_N_DIGITS = 6


def rows_of_splits(rows: Rows) -> dict[str, NDArray[np.bool_]]:
    """Mark the clips of each split (n_clips,); there is no Val or Test without labels."""
    marked = {split: (rows.clips["split"] == name).to_numpy(bool) for split, name in SPLITS.items()}
    return {
        split: chosen
        for split, chosen in marked.items()
        if split == "oof" or np.isfinite(rows.y[chosen]).any()
    }


def score(
    predictions: Mapping[str, Predictions],
    rows: Rows,
    params: Params,
    split: str,
    among: NDArray[np.bool_] | None = None,
) -> dict[str, Score]:
    """Score named predictions on one split.

    The score out of fold is the mean of the correlations inside the folds, since the models of the
    folds differ in mean.

    Parameters
    ----------
    predictions : mapping of str to ndarray of float64, shape (n_clips, n_targets)
        In the order of `rows`.
    rows : Rows
        Targets, people and folds.
    params : Params
        The number of resamples of people that intervals rest on, and their seed.
    split : {"val", "test", "oof"}
        Which clips are scored.
    among : ndarray of bool, shape (n_clips,), optional
        Only these of them.

    Returns
    -------
    dict of str to Score
        By name. Scores of several calls with the same clips can be compared: they rest on the same
        resamples.
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

    Parameters
    ----------
    scores : mapping of str to Score
        By name; all of the same clips.
    targets : sequence of str
        Their names, in the order of the scores.
    split : {"val", "test", "oof"}
        Which clips they are of.

    Returns
    -------
    DataFrame
        ``name``; ``mean_pearson`` with its 95 % interval ``ci95_low`` and ``ci95_high`` over
        people; ``better_than_best``, the share of the resamples in which a row is above the first
        one, missing there; for ``oof`` ``pooled_mean_pearson``, of all folds at once;
        ``constant``, the targets whose predictions do not vary, or ``all``; then
        ``pearson_<target>``: the prefix keeps a target of any name apart from these columns.
    """
    members = list(scores.values())
    better = better_than_best(members)
    pooled = ["pooled_mean_pearson"] if split == "oof" else []
    columns = ["name", "mean_pearson", "ci95_low", "ci95_high", "better_than_best", *pooled]
    columns += ["constant", *(f"pearson_{target}" for target in targets)]
    rows = [
        _row(name, each, probability, targets)
        for (name, each), probability in zip(scores.items(), better, strict=True)
    ]
    return pd.DataFrame([rows[number] for number in best_first(members)], columns=columns)


def score_splits(
    predictions: Mapping[str, Predictions], rows: Rows, params: Params
) -> dict[str, pd.DataFrame]:
    """Score named predictions on every split that has labels.

    Parameters
    ----------
    predictions, rows, params
        As in `score`.

    Returns
    -------
    dict of str to DataFrame
        By split, as `score_table`; on Val and Test with ``official_mean_pearson``, the challenge's
        own, which is undefined as soon as one target is constant or a clip is unlabelled.
    """
    tables = {}
    for split, chosen in rows_of_splits(rows).items():
        table = score_table(score(predictions, rows, params, split), params.targets, split)
        if split != "oof":
            official = [
                official_mean_pearson(rows.y[chosen], predictions[name][chosen])
                for name in table["name"]
            ]
            place = list(table).index("constant")
            table.insert(place, "official_mean_pearson", [_number(each) for each in official])
        tables[split] = table
    return tables


def leaderboard(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Put the tables of all splits side by side, in the order of the first: best first.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        From `score_splits`.

    Returns
    -------
    DataFrame
        ``name``, then the columns of each split, called ``val_mean_pearson`` and the like; then
        ``constant`` over all splits, and ``val_pearson_<target>`` and the like.
    """
    blocks = [table.set_index("name").add_prefix(f"{split}_") for split, table in tables.items()]
    board = pd.concat(blocks, axis=1).reset_index()
    constant = board[[f"{split}_constant" for split in tables]]
    board["constant"] = [_all_of(row) for row in constant.itertuples(index=False)]
    by_target = [name for name in board if str(name).partition("_")[2].startswith("pearson_")]
    first = [name for name in board if name not in {*by_target, *constant, "constant"}]
    return board[[*first, "constant", *by_target]]


def leaderboard_text(board: pd.DataFrame) -> pd.DataFrame:
    """Lay out a leaderboard as text: per row the score on each split, and how sure it is.

    Parameters
    ----------
    board : DataFrame
        From `leaderboard`, best first.

    Returns
    -------
    DataFrame of str
        ``P > best`` is of the split that the board is sorted by. ``official`` is the challenge's
        score there where it differs from ours, ``constant`` names targets whose predictions do not
        vary: columns that would be empty are left out.
    """
    splits, names = shown_splits(board), {"name": "head/view"}
    for split in splits:
        names |= {f"{split}_mean_pearson": f"{split} r", f"{split}_ci95_low": f"{split} 95 % CI"}
    main = board_of_split(board, splits[0])
    ours = main["mean_pearson"]
    official = main.get("official_mean_pearson", ours)  # there is none out of fold
    differs = ours.notna() & (ours != official)
    shown = board.assign(
        official=number_text(official, undefined="NaN").where(differs, ""),
        better_than_best=main["better_than_best"],
        constant=board["constant"].astype("string").fillna(""),  # empty in a file is missing
    )
    names |= {"official": "official", "oof_pooled_mean_pearson": "oof pooled"}
    names |= {"better_than_best": "P > best", "constant": "constant"}
    empty = [name for name in ("official", "constant") if not (shown[name] != "").any()]
    return laid_out(shown, {key: name for key, name in names.items() if key not in empty})


def shown_splits(board: pd.DataFrame) -> list[str]:
    """Return the splits that a leaderboard has scores of, the one it is sorted by first."""
    return [split for split in SPLITS if f"{split}_mean_pearson" in board]


def board_of_split(board: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return the columns of one split of a leaderboard, called as those of `score_table`."""
    columns = {name: str(name).removeprefix(f"{split}_") for name in board}
    kept = [name for name, bare in columns.items() if bare != name or name == "name"]
    return board[kept].rename(columns=columns)


def notes(params: Params) -> list[str]:
    """Return what has to be said wherever scores are shown."""
    specs = params.encoders.items()
    random = [name for name, spec in specs if getattr(spec, "weights", None) == "random"]
    return [RANDOM_NOTE.format(", ".join(random))] if random else []


def metrics(tables: Mapping[str, pd.DataFrame], targets: Sequence[str]) -> dict[str, Any]:
    """Return the scores as `metrics.json` has them, for `json.dumps`.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        From `score_splits`.
    targets : sequence of str
        Their names.

    Returns
    -------
    dict
        ``stack``, ``heads`` by ``<head>/<view>`` and ``baselines`` by name: by split the columns of
        the table, but ``ci95`` in place of its two ends, and ``pearson`` by target. What is
        undefined is None; ``constant`` is there only where a target is.
    """
    found: dict[str, Any] = {STACK: {}, "heads": {}, "baselines": {}}
    for split, table in tables.items():
        for record in score_records(table, targets):
            name = record.pop("name")
            if not record["constant"]:
                del record["constant"]
            if name == STACK:
                place = found[STACK]
            else:
                kind = "baselines" if name.startswith(BASELINE) else "heads"
                place = found[kind].setdefault(name.removeprefix(BASELINE), {})
            place[split] = record
    return found


def slice_table(
    predictions: Mapping[str, Predictions],
    rows: Rows,
    params: Params,
    columns: Sequence[str],
    splits: Sequence[str],
) -> pd.DataFrame:
    """Score named predictions inside the slices of columns of the clip table.

    Bands of numbers are cut over all clips, so that they are the same on every split.

    Parameters
    ----------
    predictions, rows, params
        As in `score`.
    columns : sequence of str
        By whose values clips are sliced.
    splits : sequence of str
        On which they are scored.

    Returns
    -------
    DataFrame
        `SLICE_COLUMNS`; one row per column, split, slice and name. ``n_rows`` and ``n_people``
        count the labelled clips of the slice and their people.
    """
    marked, table = rows_of_splits(rows), []
    for column in columns:
        slices = slice_rows(column_values(rows.clips[column]))
        for split in splits:
            y = np.where(marked[split][:, None], rows.y, np.nan)
            for value, chosen in scored_slices(y, rows.people, slices).items():
                size = int(chosen.sum()), len(set(rows.people[chosen]))
                for name, each in score(predictions, rows, params, split, chosen).items():
                    numbers = (each.mean_pearson, each.interval.low, each.interval.high)
                    table.append((column, value, split, name, *size, *map(_number, numbers)))
    return pd.DataFrame(table, columns=SLICE_COLUMNS)


def score_records(table: pd.DataFrame, targets: Sequence[str]) -> list[dict[str, Any]]:
    """Return `records` of a table of scores, with ``ci95`` as a pair and ``pearson`` by target."""
    found = records(table)
    for record in found:
        record["ci95"] = [record.pop("ci95_low"), record.pop("ci95_high")]
        record["pearson"] = {target: record.pop(f"pearson_{target}") for target in targets}
    return found


def _row(name: str, each: Score, better: float, targets: Sequence[str]) -> dict[str, Any]:
    constant = [target for target, flat in zip(targets, each.constant, strict=True) if flat]
    numbers = {
        "mean_pearson": each.mean_pearson,
        "ci95_low": each.interval.low,
        "ci95_high": each.interval.high,
        "better_than_best": better,
        "pooled_mean_pearson": each.pooled_mean_pearson,
    }
    by_target = zip(targets, each.pearson, strict=True)
    numbers |= {f"pearson_{target}": float(value) for target, value in by_target}
    return {
        "name": name,
        "constant": "all" if len(constant) == len(targets) else ", ".join(constant),
        **{key: _number(value) for key, value in numbers.items()},
    }


def _number(value: float) -> float:
    """Round below the last digit that means anything, without a -0.0."""
    return round(float(value), _N_DIGITS) + 0.0


def _all_of(constant: Iterable[str]) -> str:
    """Join the names of constant targets on several splits, each once."""
    names = dict.fromkeys(name for text in constant if text for name in text.split(", "))
    return "all" if "all" in names else ", ".join(names)
