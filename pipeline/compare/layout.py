"""What a board says, as titles and tables of text: the same for terminals and for Markdown."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.compare.board import Board, Entry
from pipeline.text_tables import notes

FAILED = "failed"


@dataclass(frozen=True)
class TextTable:
    """A table of text.

    Attributes
    ----------
    title : str
        One line.
    header : list of str
        Column names; the first column holds names, the others numbers.
    rows : list of list of str
        As long as the header.
    n_narrow : int
        So many columns are left where space is scarce.
    """

    title: str
    header: list[str]
    rows: list[list[str]]
    n_narrow: int


def main_table(board: Board) -> TextTable:
    """Lay out the leaderboard: per row its score, how sure it is, time, and score by target."""
    table, plan = board.table(), board.plan
    columns = {
        "head/view": table["name"],
        "mean r": signed_text(table["mean_pearson"]).where(table["error"] == "", FAILED),
        "95 % CI": interval_text(table),
        "P > best": fixed_text(table["better_than_best"], 3),
    }
    if plan.split == "oof":
        columns["pooled"] = signed_text(table["pooled_mean_pearson"])
    columns["fit s"] = fixed_text(table["fit_s"], 1)
    if (table["constant"] != "").any():
        columns["constant"] = table["constant"]
    n_narrow = len(columns)
    columns |= {target: signed_text(table[f"pearson_{target}"]) for target in plan.params.targets}
    return text_table(title(board), columns, n_narrow)


def extra_tables(board: Board) -> Iterator[TextTable]:
    """Lay out scores by slice, with slices as columns, and the learning curve."""
    if board.slices is not None:
        yield _slices(board, board.slices)
    if board.curve is not None:
        yield _curve(board, board.curve)


def title(board: Board) -> str:
    """Say what is scored, on how many clips and people, and how intervals are made."""
    plan = board.plan
    labelled = plan.scored & np.isfinite(plan.rows.y).any(axis=1)
    n_people = len(set(plan.rows.people[labelled]))
    where = "on Val" if plan.split == "val" else "out of fold on Train"
    return (
        f"Mean Pearson over {len(plan.params.targets)} targets {where}: {labelled.sum():,} clips "
        f"of {n_people:,} people; intervals and P from "
        f"{plan.params.evaluation.n_resamples:,} resamples of people"
    )


def remarks(board: Board) -> list[str]:
    """Say what failed and why, and what must be said beside every result."""
    failed = [outcome(entry) for entry in board.named("failed")]
    if board.curve_error:
        failed.append(f"learning curve of {board.curve_of} failed: {board.curve_error}")
    return failed + notes(board.plan.params)


def progress(board: Board) -> str:
    """Say how far a comparison is, and what runs now and since when."""
    n_done, n_failed = len(board.named("done")), len(board.named("failed"))
    text = f"{n_done} of {len(board.entries)} rows are done, {board.n_reused} of them from before"
    text += f"; {n_failed} failed" if n_failed else ""
    for entry in board.named("running"):
        text += f"; {entry.name} has taken {time.monotonic() - entry.began_s:.0f} s"
    is_drawing = board.curve_of and board.curve is None and not board.curve_error
    return text + (f"; the learning curve of {board.curve_of} is next" if is_drawing else "")


def outcome(entry: Entry) -> str:
    """Say in one line what came of a row."""
    if entry.scored is None:
        return f"{entry.name} failed: {entry.error}"
    score, took_s = entry.scored.score.mean_pearson, entry.scored.fit_s
    return f"{entry.name}: mean Pearson {score:+.3f}, {took_s:.1f} s"


def text_table(title: str, columns: dict[str, "pd.Series[str]"], n_narrow: int) -> TextTable:
    """Make a table of text from columns of equal length."""
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    return TextTable(title, list(columns), rows, n_narrow)


def interval_text(table: pd.DataFrame) -> "pd.Series[str]":
    """Set the interval of every row, ``ci95_low`` and ``ci95_high``; empty where there is none."""
    low, high = signed_text(table["ci95_low"]), signed_text(table["ci95_high"])
    return ("[" + low + ", " + high + "]").where(table["ci95_low"].notna(), "")


def signed_text(values: "pd.Series[float]") -> "pd.Series[str]":
    """Set scores with their signs; empty where there is none."""
    return values.map(lambda value: "" if pd.isna(value) else f"{value:+.3f}")


def fixed_text(values: "pd.Series[float]", n_digits: int) -> "pd.Series[str]":
    """Set numbers with so many digits after the point; empty where there is none."""
    return values.map(lambda value: "" if pd.isna(value) else f"{value:.{n_digits}f}")


def _slices(board: Board, slices: pd.DataFrame) -> TextTable:
    order = [entry.name for entry in board.named("done")]
    counts = slices.drop_duplicates("slice")
    columns = {"head/view": pd.Series(order)}
    for name, n_rows, n_people in counts[["slice", "n_rows", "n_people"]].itertuples(index=False):
        scores = slices[slices["slice"] == name].set_index("name")["mean_pearson"]
        heading = f"{name}: {n_rows:,} clips, {n_people:,} people"
        columns[heading] = signed_text(scores.loc[order].reset_index(drop=True))
    return text_table(f"Mean Pearson by {board.plan.by}", columns, len(columns))


def _curve(board: Board, curve: pd.DataFrame) -> TextTable:
    columns = {
        "people": curve["n_people"].map("{:,}".format),
        "clips": curve["n_rows"].map("{:,}".format),
        "mean r": signed_text(curve["mean_pearson"]),
        "95 % CI": interval_text(curve),
        "lowest": signed_text(curve["lowest"]),
        "highest": signed_text(curve["highest"]),
    }
    return text_table(f"Learning curve of {board.curve_of} on Val", columns, len(columns))
