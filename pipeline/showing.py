"""How a comparison is shown while it runs, and what of it is printed and written at its end."""

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import typer

from features.files import replacing_file
from pipeline.comparison import LEFT_OUT, Comparison
from pipeline.leaderboard import leaderboard, leaderboard_text, notes, rows_of_splits
from pipeline.tables import markdown_page, records, score_text, write_texts
from pipeline.terminal import TitledTable, drawn_anew, print_tables

INTERRUPTED = 130


def show_progress(steps: Iterator[Comparison], quiet: bool = False) -> Comparison:
    """Run a comparison to its end, and show how it fills up, unless that is to be quiet.

    In a terminal the leaderboard is drawn anew whenever something changes, and disappears in the
    end; elsewhere every finished row is one line. Ctrl-C ends the command; what is fitted stays so.
    """
    try:
        found = next(steps)
        if quiet:
            *_, found = found, *steps
            return found
        told: set[str] = set()
        with drawn_anew(lambda: (progress(found), board_text(found))) as draw:
            for _ in chain([found], steps):
                if draw is not None:
                    draw()
                    continue
                for name in {**found.fits, **found.errors}:
                    if name not in told and not (name in found.fits and found.fits[name].reused):
                        print(f"{outcome(found, name)}{_to_go(found)}", flush=True)
                    told.add(name)
        print_tables((), [progress(found)])
        return found
    except KeyboardInterrupt:
        print("interrupted; what is fitted stays so: the same command goes on", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None


def heading(found: Comparison) -> str:
    """Say what is scored, on how many clips and people, and how intervals are made."""
    rows, params = found.rows, found.params
    scored = rows_of_splits(rows)[found.split] & np.isfinite(rows.y).any(axis=1)
    where = "on Val" if found.split == "val" else "out of fold on Train"
    return (
        f"Mean Pearson over {len(params.targets)} targets {where}: {scored.sum():,} clips of "
        f"{len(set(rows.people[scored])):,} people; intervals and P from "
        f"{params.evaluation.n_resamples:,} resamples of people"
    )


def board_text(found: Comparison) -> pd.DataFrame:
    """Lay out the leaderboard: per row its score, how sure it is, time, and score by target."""
    table = found.table()
    board = leaderboard({found.split: table}).assign(fit_s=table["fit_s"])
    by_target = {f"{found.split}_pearson_{target}": target for target in found.params.targets}
    text = leaderboard_text(board, {"fit_s": "fit s", **by_target})
    for row, name in enumerate(table["name"]):
        if name in found.errors:
            text.iloc[row, 1] = "failed" if name in found.failures else LEFT_OUT
    return text


def remarks(found: Comparison) -> list[str]:
    """Say what failed and why, and what must be said beside every result."""
    scores = found.table().loc[lambda table: table["error"] == "", "mean_pearson"]
    return [outcome(found, name) for name in found.errors] + notes(found.params, scores)


def publish(
    found: Comparison,
    name: str,
    tables: Mapping[str, pd.DataFrame],
    shown: Sequence[TitledTable],
    said: Sequence[str],
    folder: Path,
    as_json: bool,
) -> None:
    """Write and print what came of a comparison; with status 1 where no head could be fitted.

    Parameters
    ----------
    found : Comparison
        When all is done. The tracebacks of what failed go to ``errors.txt``.
    name : str
        Of the main table, and of the page in Markdown.
    tables : mapping of str to DataFrame
        Written by name as CSV, the one called `name` as Parquet too; of an empty one, nothing old
        stays.
    shown, said
        Tables of text with their titles, and remarks: what is printed, and the page.
    folder, as_json
        Where the files go; whether JSON is printed instead of the tables.
    """
    errors = [f"{row}: {why.reason}\n{why.details}" for row, why in found.failures.items()]
    texts = {
        f"{each}.csv": table.to_csv(index=False) if len(table) else None
        for each, table in tables.items()
    }
    texts |= {f"{name}.md": markdown_page(shown, said), "errors.txt": "\n\n".join(errors) or None}
    files = [str(path) for path in [*write_texts(folder, texts), folder / f"{name}.parquet"]]
    with replacing_file(folder / f"{name}.parquet") as beside:
        tables[name].to_parquet(beside, index=False)
    if as_json:
        rows = {each: records(table) for each, table in tables.items()}
        about = {"split": found.split, "n_reused": _n_reused(found), "remarks": said}
        print(json.dumps({**about, "files": files, **rows}, indent=2))
    else:
        print_tables(shown, [*said, "", *files])
    if not found.members:
        raise typer.Exit(1)


def outcome(found: Comparison, name: str) -> str:
    """Say in one line what came of a row."""
    if name in found.errors:
        return f"{name} {'failed: ' if name in found.failures else ''}{found.errors[name]}"
    score, took_s = found.scores[name].mean_pearson, found.fits[name].fit_s
    return f"{name}: mean Pearson {score_text(score)}, {took_s:.1f} s"


def progress(found: Comparison) -> str:
    """Say how far a comparison is, what runs now and since when, and how long the rest takes."""
    n_rows = len({task.name for task in found.tasks}.union(found.scores, found.errors))
    text = f"{len(found.scores)} of {n_rows} rows are done, {_n_reused(found)} of them from before"
    for rows, what in ((found.failures, "failed"), (found.left_out, LEFT_OUT)):
        text += f"; {len(rows)} {what}" if rows else ""
    if found.running is not None:
        name, since_s = found.running
        text += f"; {name} has taken {time.monotonic() - since_s:.0f} s"
    return text + _to_go(found)


def _to_go(found: Comparison) -> str:
    """Say about how long the rest takes."""
    rest = [task for task in found.remaining if not task.is_baseline]
    return f"; about {sum(map(found.estimate_s, rest)):.2g} s to go" if rest else ""


def _n_reused(found: Comparison) -> int:
    return sum(fit.reused for fit in found.fits.values())
