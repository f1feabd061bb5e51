"""What each modality and each encoder adds: stacks with and without the heads on it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.encoders import ENCODERS, FrameEncoder, SoundEncoder
from models.evaluation.scores import Score, Subset, gains, score_predictions
from models.stack import fit_stack, stack_oof
from pipeline.clip_table import Rows
from pipeline.params import Params

CONTRIBUTION_COLUMNS = [
    *("kind", "part", "encoders"),
    *("alone", "alone_ci95_low", "alone_ci95_high"),
    *("gain", "ci95_low", "ci95_high", "p_better"),
]

_N_DIGITS = 6

Predictions = NDArray[np.float64]
Parts = dict[str, Subset]
"""The encoders of each part, by its name."""


def modalities(encoders: Mapping[str, Mapping[str, Any]]) -> Parts:
    """Sort encoders by what they look at: ``vision``, ``sound``, or ``imported`` features.

    Parameters
    ----------
    encoders : mapping of str to mapping
        The entries of ``params.yaml``; features that others computed do not say what of.
    """
    parts: dict[str, list[str]] = {}
    for name, spec in encoders.items():
        kind = ENCODERS[spec["kind"]]
        is_vision, is_sound = issubclass(kind, FrameEncoder), issubclass(kind, SoundEncoder)
        modality = "vision" if is_vision else "sound" if is_sound else "imported"
        parts.setdefault(modality, []).append(name)
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
        Names of the encoders and heads, number of resamples and seed.
    split : {"val", "oof"}
        The predictions that are scored.

    Returns
    -------
    DataFrame
        `CONTRIBUTION_COLUMNS`; ``kind`` is ``modality`` or ``encoder``, and a kind with a single
        part is left out. ``gain`` is the mean Pearson with the part less that without it, with a
        95 % interval over paired resamples of people.
    """
    kinds: dict[str, Parts] = {
        "modality": modalities(params.encoders),
        "encoder": {name: (name,) for name in params.encoders},
    }
    kinds = {kind: parts for kind, parts in kinds.items() if len(parts) > 1}
    wanted = dict.fromkeys(_encoders_of(parts, s) for parts in kinds.values() for s in _sets(parts))
    stacks = [_stacked(_heads_on(encoders, members), rows, split) for encoders in wanted]
    scores = dict(zip(wanted, _score(stacks, rows, params, split), strict=True))
    table = [row for kind, parts in kinds.items() for row in _rows(kind, parts, scores)]
    return pd.DataFrame(table, columns=CONTRIBUTION_COLUMNS).round(_N_DIGITS)


def _rows(
    kind: str, parts: Parts, scores: Mapping[frozenset[str], Score]
) -> Iterator[tuple[Any, ...]]:
    by_set = {each: scores[_encoders_of(parts, each)] for each in _sets(parts)}
    added = {part: gain for (part, to), gain in gains(by_set).items() if len(to) == len(parts) - 1}
    for name, encoders in parts.items():
        alone, gain = by_set[(name,)], added[name]
        yield (
            *(kind, name, " ".join(encoders)),
            *(alone.mean_pearson, alone.interval.low, alone.interval.high),
            *(gain.gain, gain.interval.low, gain.interval.high, gain.p_better),
        )


def _sets(parts: Parts) -> Iterator[Subset]:
    """Yield all parts, each part alone, and all but each."""
    yield tuple(parts)
    for name in parts:
        yield (name,)
        yield tuple(other for other in parts if other != name)


def _encoders_of(parts: Parts, names: Subset) -> frozenset[str]:
    return frozenset(encoder for name in names for encoder in parts[name])


def _heads_on(encoders: frozenset[str], members: Mapping[str, Predictions]) -> list[Predictions]:
    return [each for name, each in members.items() if name.partition("/")[2] in encoders]


def _stacked(members: Sequence[Predictions], rows: Rows, split: str) -> Predictions:
    stacked, n = np.stack(members, axis=1), rows.n_train
    if split == "oof":
        return stack_oof(stacked[:n], rows.y[:n], rows.fold_of_row)
    stack = fit_stack(stacked[:n], rows.y[:n], rows.fold_of_row)
    return stack.predict(stacked[_scored(rows, split)])


def _score(stacks: Sequence[Predictions], rows: Rows, params: Params, split: str) -> list[Score]:
    if not stacks:
        return []
    chosen = _scored(rows, split)
    n_resamples = params.evaluation.n_resamples
    return score_predictions(
        *(rows.y[chosen], np.stack(stacks), rows.people[chosen], n_resamples, params.seed),
        rows.fold_of_row if split == "oof" else None,
    )


def _scored(rows: Rows, split: str) -> NDArray[np.bool_]:
    return np.asarray(rows.clips["split"] == ("Val" if split == "val" else "Train"))
