"""What the report says of scores: leaderboard, targets, contributions, slices, stack weights."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.report.charts import Kind, Mark
from pipeline.report.figures import diverging_step, largest
from pipeline.report.numbers import plain, signed
from pipeline.views import view_names

STACK = "stack"
BASELINE = "baseline/"
SPLITS = {"val": "Val", "oof": "Train, out of fold", "test": "Test"}
"""How splits are called, in the order of the leaderboard."""


@dataclass(frozen=True)
class Cell:
    """A number of a heat map: its text, and the class of its colour."""

    text: str
    step: str


@dataclass(frozen=True)
class HeatMap:
    """A table whose cells are coloured by their numbers.

    Attributes
    ----------
    columns : list of str
        Of the cells; what a row is called stands before them.
    rows : list of (str, list of Cell)
        Name and cells.
    most : float
        The size that has the strongest colour.
    """

    columns: list[str]
    rows: list[tuple[str, list[Cell]]]
    most: float


@dataclass(frozen=True)
class Gain:
    """What joining the encoders adds for one head.

    Attributes
    ----------
    head : str
        Its name.
    marks : list of Mark
        One per view, all joined last.
    summary : str
        In words.
    """

    head: str
    marks: list[Mark]
    summary: str


def shown_splits(table: pd.DataFrame) -> list[str]:
    """Return the splits that a leaderboard has scores of, the one it is sorted by first."""
    return [split for split in SPLITS if f"{split}_mean_pearson" in table]


def board_marks(table: pd.DataFrame, split: str) -> list[Mark]:
    """Return the rows of the leaderboard with their intervals, the stack and baselines marked."""
    marks = []
    for row in table.to_dict("records"):
        name = str(row["name"])
        baseline = name.startswith(BASELINE)
        kind: Kind = "main" if name == STACK else "soft" if baseline else "plain"
        marks.append(_mark(name, row, f"{split}_", kind))
    return marks


def by_target(table: pd.DataFrame, split: str, targets: Sequence[str]) -> HeatMap:
    """Return Pearson by target and row of the leaderboard."""
    columns = [f"{split}_pearson_{target}" for target in targets]
    return heat_map(table["name"], table[columns].to_numpy(float, na_value=float("nan")), targets)


def encoder_gains(
    table: pd.DataFrame, split: str, heads: Sequence[str], encoders: Sequence[str]
) -> list[Gain]:
    """Return, head by head, what each encoder reaches alone and all reach joined.

    Nothing with a single encoder.
    """
    *singles, joined = view_names(encoders)
    rows = table.set_index("name").to_dict("index")
    gains = []
    for head in heads:
        alone = {view: rows[f"{head}/{view}"] for view in singles if f"{head}/{view}" in rows}
        both = rows.get(f"{head}/{joined}")
        if not alone or both is None:
            continue
        marks = [_mark(view, row, f"{split}_") for view, row in alone.items()]
        marks.sort(key=lambda mark: -mark.value)
        everything = _mark(f"all {len(singles)} joined", both, f"{split}_", "main")
        best = marks[0]
        gain = signed(everything.value - best.value)
        summary = f"all joined {gain} against {best.label} alone"
        gains.append(Gain(head, [*marks, everything], summary))
    return gains


def contribution_marks(contributions: pd.DataFrame) -> dict[str, list[Mark]]:
    """Return what each part adds to all others of its kind, ``modality`` or ``encoder``."""
    return {
        str(kind): [
            Mark(f"+ {row['part']}", row["gain"], row["ci95_low"], row["ci95_high"])
            for row in part.to_dict("records")
        ]
        for kind, part in contributions.groupby("kind", sort=False)
    }


def slice_marks(slices: pd.DataFrame, split: str, name: str = STACK) -> dict[str, list[Mark]]:
    """Return the scores of one row of the leaderboard inside slices, by column."""
    if slices.empty:
        return {}
    chosen = slices[(slices["split"] == split) & (slices["name"] == name)]
    return {
        str(column): [
            _mark(f"{row['slice']} · {row['n_rows']} clips", row) for row in part.to_dict("records")
        ]
        for column, part in chosen.groupby("column", sort=False)
    }


def group_columns(slices: pd.DataFrame) -> list[str]:
    """Return the columns of slices that can say who people are: all but the duration."""
    columns = [] if slices.empty else slices["column"].unique().tolist()
    return [name for name in columns if name != "duration_s"]


def curve_marks(curve: pd.DataFrame) -> list[tuple[float, Mark]]:
    """Return the points of a learning curve: the number of people, and the score with interval."""
    return [(float(row["n_people"]), _mark("", row)) for row in curve.to_dict("records")]


def weight_maps(weights: pd.DataFrame | None, targets: Sequence[str]) -> dict[str, HeatMap]:
    """Return the weights of the stack by member and target, as shares of 1.

    Parameters
    ----------
    weights : DataFrame or None
        ``member, part, <targets>``, as in ``stack_weights.csv``. Where members' predictions of
        other targets count too, the part on the target itself is a second map.
    targets : sequence of str
        In the order of the columns.
    """
    if weights is None or weights.empty:
        return {}
    values = {
        str(part): rows.set_index("member")[list(targets)]
        for part, rows in weights.groupby("part", sort=False)
    }
    first = next(iter(values.values()))
    maps = {}
    for part, rows in values.items():
        if rows is first or not rows.round(6).equals(first.round(6)):
            maps[part] = heat_map(rows.index, rows.to_numpy(float), targets, digits=2)
    return maps


def heat_map(names: Iterable[str], values: Any, columns: Sequence[str], digits: int = 3) -> HeatMap:
    """Colour a table by its numbers.

    Parameters
    ----------
    names : iterable of str
        Of the rows.
    values : array of float [n_rows, n_columns]
        NaN where there is none.
    columns : sequence of str
        Their names.
    digits : int
        Behind the point; with two, numbers that are all positive go without a sign.
    """
    table = pd.DataFrame(values, columns=list(columns), dtype=float)
    most = largest(table.to_numpy().ravel().tolist())
    write = plain if digits == 2 and (table.fillna(0) >= 0).all(axis=None) else signed
    rows = [
        (str(name), [Cell(write(value, digits), diverging_step(value, most)) for value in row])
        for name, row in zip(names, table.to_numpy().tolist(), strict=True)
    ]
    return HeatMap(list(columns), rows, most)


def _mark(label: str, row: Mapping[Any, Any], prefix: str = "", kind: Kind = "plain") -> Mark:
    value, low, high = (
        _number(row[f"{prefix}{each}"]) for each in ("mean_pearson", "ci95_low", "ci95_high")
    )
    return Mark(label, value, low, high, kind)


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)
