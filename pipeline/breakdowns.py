"""What a score is made of: by slice of the clips, by modality and encoder, by number of people."""

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.arrays import DataError
from models.evaluation.bootstrap import percentile_interval
from models.evaluation.scores import Score, difference
from models.evaluation.slices import scored_slices, slice_rows
from pipeline.clip_table import Rows, column_values
from pipeline.fit import FitTask, Fitting, stack_members
from pipeline.leaderboard import N_DIGITS, Predictions, rounded, rows_of_splits, score
from pipeline.params import Params
from pipeline.result_cache import digest_of, keep_result, load_result

SLICE_COLUMNS = [
    *("column", "slice", "split", "name", "n_rows", "n_people"),
    *("mean_pearson", "ci95_low", "ci95_high"),
]
CONTRIBUTION_COLUMNS = [
    *("kind", "part", "encoders"),
    *("alone", "alone_ci95_low", "alone_ci95_high"),
    *("gain", "ci95_low", "ci95_high", "p_better"),
]
CURVE_COLUMNS = [
    *("name", "n_people", "n_rows", "n_fits", "mean_pearson", "ci95_low", "ci95_high"),
    *("lowest", "highest"),
]

CURVE_SHARES = (1 / 8, 1 / 4, 1 / 2)
"""Of the people of Train, before all of them."""
CURVE_REPEATS = 3


def slice_table(
    predictions: Mapping[str, Predictions],
    rows: Rows,
    params: Params,
    columns: Sequence[str],
    splits: Sequence[str],
) -> pd.DataFrame:
    """Score named predictions inside the slices of columns of the clip table, as `SLICE_COLUMNS`.

    Bands of numbers are cut over all clips, so that they are the same on every split. ``n_rows``
    and ``n_people`` count the labelled clips of a slice and their people. Predictions and what
    belongs to them are those of `pipeline.leaderboard.score`.
    """
    marked, table = rows_of_splits(rows), []
    for column in columns:
        slices = slice_rows(column_values(rows.clips[column]))
        for split in splits:
            y = np.where(marked[split][:, None], rows.y, np.nan)
            for value, chosen in scored_slices(y, rows.people, slices).items():
                size = int(chosen.sum()), len(set(rows.people[chosen]))
                for name, each in score(predictions, rows, params, split, chosen).items():
                    table.append((column, value, split, name, *size, *_estimate(each)))
    return rounded(pd.DataFrame(table, columns=SLICE_COLUMNS))


def contribution_table(
    members: Mapping[str, Predictions], rows: Rows, params: Params, split: str
) -> pd.DataFrame:
    """Score each modality and each encoder alone, and what it adds to all the others.

    Every score is that of a stack of the heads on single encoders, fitted anew. Heads on joined
    encoders have no part in it: without one of its encoders a join is another one, which nobody
    has fitted, so to leave it out with each of them would add it to the gain of all.

    Members are called ``head/view``; all else is as in `pipeline.leaderboard.score`.

    Returns
    -------
    DataFrame
        `CONTRIBUTION_COLUMNS`; ``kind`` is ``modality`` (``vision``, ``sound``, ``words``, or
        ``imported`` for stores, which do not say) or ``encoder``, and a kind with a single part is
        left out. ``gain`` is the mean Pearson with the part less that without it, with a 95 %
        interval over paired resamples of people.
    """
    kinds: dict[str, dict[str, list[str]]] = {
        "modality": {},
        "encoder": {name: [name] for name in params.feature_names},
    }
    for name, spec in params.encoders.items():
        kinds["modality"].setdefault(spec.modality, []).append(name)
    if params.stores:
        kinds["modality"]["imported"] = list(params.stores)

    @cache
    def stacked(encoders: frozenset[str]) -> Score:
        heads = [each for name, each in members.items() if name.partition("/")[2] in encoders]
        return score({"": stack_members(heads, rows)[1]}, rows, params, split)[""]

    table = []
    everything = frozenset(params.feature_names)
    for kind, parts in kinds.items():
        for part, encoders in parts.items() if len(parts) > 1 else ():
            alone = stacked(frozenset(encoders))
            gain = difference(stacked(everything), stacked(everything.difference(encoders)))
            numbers = gain.gain, gain.interval.low, gain.interval.high, gain.p_better
            table.append((kind, part, " ".join(encoders), *_estimate(alone), *numbers))
    return rounded(pd.DataFrame(table, columns=CONTRIBUTION_COLUMNS))


def learning_curve_table(fitting: Fitting, task: FitTask, params: Params) -> pd.DataFrame:
    """Fit a head on an eighth, a quarter and half of the people of Train, and score it on Val.

    All people are the last row: the fit that is on the leaderboard. What was fitted before comes
    from the cache. Each other row has several fits on other people each: their mean, its 95 %
    interval over the people of Val, and the lowest and highest fit, as `CURVE_COLUMNS`.

    Raises
    ------
    DataError
        When Val cannot be scored, or the head not fitted on so few people; also as `Fitting.fit`.
    """
    if "val" not in rows_of_splits(fitting.rows):
        raise DataError("fewer than two clips of Val are labelled")
    settings = [CURVE_SHARES, CURVE_REPEATS, params.evaluation.n_resamples, params.seed]
    key = digest_of(curve_of=fitting.key(task), settings=settings, columns=CURVE_COLUMNS)
    if (known := load_result(key)) is not None:
        return _curve(task, known["table"])
    rows = fitting.rows
    whole = score({"": fitting.fit(task).predictions}, rows, params, "val")[""]
    view = fitting.view(task)
    labelled = np.flatnonzero(view.labelled)
    people = np.unique(view.groups[labelled])
    fits: dict[int, list[tuple[int, Score]]] = {}
    for repeat, share in product(range(CURVE_REPEATS), CURVE_SHARES):
        # The larger set of a repeat contains the smaller: the curve shows what people add.
        order = np.random.default_rng([params.seed, repeat]).permutation(people)
        size = max(2, round(share * len(people)))
        own = labelled[np.isin(view.groups[labelled], order[:size])]
        if size < len(people) and len(fits.get(size, ())) <= repeat:
            head = task.make_head().fit(view.inputs[own], view.targets[own], view.groups[own])
            held = head.predict(view.held_inputs)
            predicted = np.concatenate([rows.y[: rows.n_train], held])
            scored = score({"": predicted}, rows, params, "val")[""]
            fits.setdefault(size, []).append((len(own), scored))
    fits[len(people)] = [(len(labelled), whole)]
    table = []
    for size, several in sorted(fits.items()):
        means = [each.mean_pearson for _, each in several]
        ends = percentile_interval(np.mean([each.resampled for _, each in several], axis=0))
        n_rows = round(np.mean([n_rows for n_rows, _ in several]))
        numbers = np.mean(means), ends.low, ends.high, min(means), max(means)
        table.append((size, n_rows, len(several), *numbers))
    numbers_of_all = np.array(table, np.float64).round(N_DIGITS)
    keep_result(key, {"table": numbers_of_all})
    return _curve(task, numbers_of_all)


def _curve(task: FitTask, numbers: NDArray[np.float64]) -> pd.DataFrame:
    table = pd.DataFrame(numbers, columns=CURVE_COLUMNS[1:])
    table.insert(0, "name", task.name)
    return table.astype(dict.fromkeys(("n_people", "n_rows", "n_fits"), int))


def _estimate(score: Score) -> tuple[float, float, float]:
    return score.mean_pearson, score.interval.low, score.interval.high
