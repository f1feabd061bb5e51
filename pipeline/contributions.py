"""What each modality and each encoder adds: stacks with and without the heads on it."""

from collections.abc import Mapping
from functools import cache

import numpy as np
import pandas as pd

from features.encoders import ENCODERS
from models.evaluation.scores import Score, difference
from models.stack import fit_stack, stack_oof
from pipeline.clip_table import Rows
from pipeline.leaderboard import Predictions, score
from pipeline.params import Params

CONTRIBUTION_COLUMNS = [
    *("kind", "part", "encoders"),
    *("alone", "alone_ci95_low", "alone_ci95_high"),
    *("gain", "ci95_low", "ci95_high", "p_better"),
]

_N_DIGITS = 6


def modalities(params: Params) -> dict[str, tuple[str, ...]]:
    """Sort encoders by what they look at: ``vision`` or ``sound``; ``imported`` stores do not say.

    Returns
    -------
    dict of str to tuple of str
        Names of encoders by modality.
    """
    parts: dict[str, list[str]] = {}
    for name, spec in params.encoders.items():
        parts.setdefault(ENCODERS[spec.kind].modality, []).append(name)
    if params.stores:
        parts["imported"] = list(params.stores)
    return {name: tuple(members) for name, members in parts.items()}


def contribution_table(
    members: Mapping[str, Predictions], rows: Rows, params: Params, split: str
) -> pd.DataFrame:
    """Score each modality and each encoder alone, and what it adds to all the others.

    Every score is that of a stack of the heads on single encoders, fitted anew. Heads on joined
    encoders have no part in it: without one of its encoders a join is another one, which nobody
    has fitted, so to leave it out with each of them would add it to the gain of all.

    Parameters
    ----------
    members : mapping of str to ndarray of float64, shape (n_clips, n_targets)
        Predictions of ``head/view``, in the order of `rows`.
    rows : Rows
        Labels, people and folds.
    params : Params
        Names of the encoders, number of resamples and seed.
    split : {"val", "oof"}
        The predictions that are scored.

    Returns
    -------
    DataFrame
        `CONTRIBUTION_COLUMNS`; ``kind`` is ``modality`` or ``encoder``, and a kind with a single
        part is left out. ``gain`` is the mean Pearson with the part less that without it, with a
        95 % interval over paired resamples of people.
    """
    kinds: dict[str, dict[str, tuple[str, ...]]] = {
        "modality": modalities(params),
        "encoder": {name: (name,) for name in params.feature_names},
    }

    @cache
    def stacked(encoders: frozenset[str]) -> Score:
        heads = [each for name, each in members.items() if name.partition("/")[2] in encoders]
        return score({"": _stack(np.stack(heads, axis=1), rows)}, rows, params, split)[""]

    table = []
    for kind, parts in kinds.items():
        everything = frozenset(name for part in parts.values() for name in part)
        for part, encoders in parts.items() if len(parts) > 1 else ():
            alone, whole = stacked(frozenset(encoders)), stacked(everything)
            gain = difference(whole, stacked(everything.difference(encoders)))
            table.append(
                (
                    *(kind, part, " ".join(encoders)),
                    *(alone.mean_pearson, alone.interval.low, alone.interval.high),
                    *(gain.gain, gain.interval.low, gain.interval.high, gain.p_better),
                )
            )
    return pd.DataFrame(table, columns=CONTRIBUTION_COLUMNS).round(_N_DIGITS)


def _stack(members: Predictions, rows: Rows) -> Predictions:
    """Stack predictions (n_clips, n_members, n_targets) of Train out of fold, and of the others."""
    n, folds = rows.n_train, rows.fold_of_row
    oof = stack_oof(members[:n], rows.y[:n], folds)
    held = fit_stack(members[:n], rows.y[:n], folds).predict(members[n:])
    return np.concatenate([oof, held])
