"""The results as tables: for programs, and as text for terminals and Markdown."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from pipeline.compare.board import STACK, Board
from pipeline.compare.layout import (
    TextTable,
    fixed_text,
    interval_text,
    remarks,
    signed_text,
    text_table,
    title,
)
from pipeline.systems.published import PUBLISHED, Published
from pipeline.systems.run import modality_gains, row_name
from pipeline.systems.settings import System, Systems
from pipeline.views import JOIN

COLUMNS = [
    *("system", "kind", "head", "encoders", "mean_pearson", "ci95_low", "ci95_high"),
    *("published_val", "published_test", "source", "note"),
]
GAIN_COLUMNS = ["modality", "added_to", "gain", "ci95_low", "ci95_high", "p_better"]

FOREIGN_NOTE = (
    "Published figures are of Hume-Reaction, mean Pearson on its Val and Test, and none is ours. "
    "Scores of ours are of {}: the two compare only where those are the same data. `not available` "
    "is a figure that we have not read in a public source; `source` says which systems were "
    "published together, as this project has noted them."
)

_N_DIGITS = 6


def systems_table(board: Board, systems: Systems) -> pd.DataFrame:
    """Return our systems, each with the published figure that it carries on, then other figures.

    Returns
    -------
    DataFrame
        `COLUMNS`, in the order of `systems.yaml`, then the subsets of modalities, the stack of all
        these, the baselines, and the published results that stand beside no system of ours.
        ``kind`` is ``system``, ``modalities``, ``stack``, ``baseline`` or ``published``; a score is
        missing where there is none, and ``note`` says why where a fit failed. Published figures are
        text, as their source has them; ``source`` is empty where that is "not available".
    """
    rows = [_system_row(board, name, "system", system) for name, system in systems.named.items()]
    rows += [
        _system_row(board, JOIN.join(subset), "modalities", system)
        for subset, system in systems.by_modality.items()
    ]
    if STACK in board.entries:
        of_all = {"system": STACK, "kind": "stack", "encoders": "all systems above"}
        rows.append(of_all | _score(board, STACK))
    for name in (job.name for job in board.plan.jobs if job.is_baseline):
        rows.append({"system": name, "kind": "baseline", **_score(board, name)})
    beside = {system.published for system in systems.named.values()}
    rows += [
        {"system": name, "kind": "published", **_published(published)}
        for name, published in PUBLISHED.items()
        if name not in beside
    ]
    table = pd.DataFrame(rows, columns=COLUMNS)
    numbers = ["mean_pearson", "ci95_low", "ci95_high"]
    return table.fillna({column: "" for column in table if column not in numbers})


def gains_table(board: Board, systems: Systems) -> pd.DataFrame:
    """Return what each modality adds to each subset of the others, `GAIN_COLUMNS`.

    The interval and ``p_better`` are of paired resamples of people; see `models.evaluation.scores`.
    """
    rows = [
        (
            *(part, JOIN.join(to)),
            *_rounded(gain.gain, gain.interval.low, gain.interval.high, gain.p_better),
        )
        for (part, to), gain in modality_gains(board, systems).items()
    ]
    return pd.DataFrame(rows, columns=GAIN_COLUMNS)


def text_tables(board: Board, systems: Systems) -> Iterator[TextTable]:
    """Lay out both tables as text; the second one only where there are gains."""
    yield _systems_text(board, systems_table(board, systems))
    table = gains_table(board, systems)
    if len(table):
        head = systems.by_modality[next(iter(systems.by_modality))].head
        yield _gains_text(table, head)


def all_remarks(board: Board) -> list[str]:
    """Return what must be said beside the tables."""
    return [*remarks(board), FOREIGN_NOTE.format(board.plan.params.data.labels)]


def _system_row(board: Board, name: str, kind: str, system: System) -> dict[str, Any]:
    row = {"system": name, "kind": kind, "head": system.head, "encoders": system.view}
    score = _score(board, row_name(system))
    notes = [note for note in (system.note, score.pop("note", "")) if note]
    row |= score | {"note": "; ".join(notes)}
    if system.published in PUBLISHED:
        return row | _published(PUBLISHED[system.published])
    return row | {"published_test": system.published}


def _score(board: Board, name: str) -> dict[str, Any]:
    """Return the score of a row of the board, or why there is none."""
    entry = board.entries[name]
    if entry.scored is None:
        return {"note": f"failed: {entry.error}"}
    score = entry.scored.score
    numbers = _rounded(score.mean_pearson, score.interval.low, score.interval.high)
    return dict(zip(("mean_pearson", "ci95_low", "ci95_high"), numbers, strict=True))


def _published(row: Published) -> dict[str, Any]:
    return {
        "published_val": row.val,
        "published_test": row.test,
        "source": row.source,
    }


def _systems_text(board: Board, table: pd.DataFrame) -> TextTable:
    columns = {
        "system": table["system"].where(table["kind"] != "published", "(" + table["system"] + ")"),
        "ours": signed_text(table["mean_pearson"]),
        "95 % CI": interval_text(table),
        "published val": table["published_val"],
        "published test": table["published_test"],
        "head": table["head"],
        "encoders": table["encoders"],
        "source": table["source"],
    }
    if (table["note"] != "").any():
        columns["note"] = table["note"]
    heading = f"Systems on {board.plan.params.data.labels}, beside published figures. "
    return text_table(heading + title(board), columns, n_narrow=6)


def _gains_text(table: pd.DataFrame, head: str) -> TextTable:
    columns = {
        "modality": table["modality"],
        "added to": table["added_to"],
        "gain": signed_text(table["gain"]),
        "95 % CI": interval_text(table),
        "P > 0": fixed_text(table["p_better"], 3),
    }
    heading = f"What a modality adds ({head}; paired resamples of people)"
    return text_table(heading, columns, n_narrow=len(columns))


def _rounded(*values: float) -> tuple[float, ...]:
    return tuple(round(float(value), _N_DIGITS) for value in values)
