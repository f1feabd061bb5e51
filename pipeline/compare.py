"""`eri compare`: which heads on which features, with what certainty."""

import json
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from features.files import replacing_file
from pipeline.comparison import (
    LEFT_OUT,
    TIME_LIMIT_S,
    Comparison,
    Split,
    plan_comparison,
    run_comparison,
)
from pipeline.leaderboard import leaderboard, leaderboard_text, notes, rows_of_splits
from pipeline.paths import COMPARISON
from pipeline.tables import markdown_page, records, write_text
from pipeline.terminal import Json, On, names_of, print_table

ScoredSplit = Annotated[
    Split | None,
    typer.Option(help="Score out of fold on Train, or on Val; default: val where it is labelled."),
]


def compare(
    encoders: Sequence[str] | None = None,
    heads: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    split: Split | None = None,
    time_limit_s: float = TIME_LIMIT_S,
    budget_s: float = math.inf,
    on: str | None = None,
) -> pd.DataFrame:
    """Fit heads on views, and rank them; what was fitted before is not fitted again.

    To be called in the root of the repository, after `dvc repro` made the clip vectors.

    Parameters
    ----------
    encoders : sequence of str, optional
        Views: encoder names, alone or joined by ``+``. By default each encoder, and all joined.
    heads : sequence of str, optional
        Names under ``heads:``, or kinds of heads, which then have their default settings.
    targets : sequence of str, optional
        The targets that are fitted and scored.
    split : {"oof", "val"}, optional
        The predictions that are scored: out of fold on Train, or on Val. By default Val, or out of
        fold where Val has no labels.
    time_limit_s, budget_s, on
        As for `pipeline.comparison.run_comparison`.

    Returns
    -------
    DataFrame
        The columns of `pipeline.comparison.Comparison.table`: every head on every view, two
        baselines and the stack of the heads, best first; then what came to nothing, and why.

    Raises
    ------
    ParamsError
        For a name that is not known, or settings that are wrong.
    StoreError
        When the clip vectors of an encoder are missing.

    Examples
    --------
    In the folder of a run with the encoders ``face`` and ``voice``:

    >>> table = compare(heads=["ridge"], split="oof")
    >>> sorted(table["name"])
    ['baseline/duration', 'baseline/mean', 'ridge/face', 'ridge/face+voice', 'ridge/voice', 'stack']
    >>> best = table.iloc[0]
    >>> bool(best["ci95_low"] < best["mean_pearson"] < best["ci95_high"])
    True
    """
    plan = plan_comparison(encoders, heads, targets, split)
    return run_comparison(plan, time_limit_s, budget_s, on).table()


def compare_command(
    encoders: Annotated[
        str | None,
        typer.Option(help="Encoders, alone or joined by +; default: each, and all joined."),
    ] = None,
    heads: Annotated[
        str | None, typer.Option(help="Names from params.yaml, or kinds; default: all named there.")
    ] = None,
    targets: Annotated[
        str | None, typer.Option(help="Fit and score these only; default: all.")
    ] = None,
    split: ScoredSplit = None,
    time_limit_s: Annotated[
        float, typer.Option(min=0.1, help="Longest time for one head on one view.")
    ] = TIME_LIMIT_S,
    budget_s: Annotated[
        float, typer.Option(min=1, help="Seconds for all fits together, or inf.")
    ] = 120,
    on: On = None,
    as_json: Json = False,
) -> None:
    """Rank heads on encoders and on several joined.

    Names are joined by commas. What was fitted before, here or by `dvc repro`, is not fitted
    again. What is quick comes first. A head that fails, takes too long or has no room in the budget
    is a row that says so. Ctrl-C keeps what is fitted.

    Example: eri compare --heads ridge,svr --encoders clip,egemaps,clip+egemaps --budget-s inf
    """
    asked = names_of(encoders), names_of(heads), names_of(targets)
    plan = plan_comparison(*asked, split)
    cluster, tell = on or plan.params.execution.cluster, partial(typer.echo, err=as_json)
    found = run_comparison(plan, time_limit_s, budget_s, cluster, tell)
    table = found.table().assign(split=found.split)
    publish(found, COMPARISON / "leaderboard", table, board_text(found), as_json)


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
    reasons = table["error"]
    score = text.iloc[:, 1].mask(reasons != "", "failed")
    score = score.mask(reasons.str.startswith(LEFT_OUT), "left out")
    text.isetitem(1, score.to_numpy(object))
    return text


def publish(
    found: Comparison,
    place: Path,
    table: pd.DataFrame,
    text: pd.DataFrame,
    as_json: bool,
    title: str = "",
    note: str = "",
) -> None:
    """Write and print what came of a comparison; with status 1 where no head could be fitted.

    Parameters
    ----------
    found : Comparison
        When all is done. The tracebacks of what failed go to ``errors.txt``.
    place : Path
        Where the table goes, as CSV and Parquet, and a page in Markdown, without their endings.
    table, text : DataFrame
        What is written, and how it is laid out on the page and in print.
    as_json : bool
        Whether JSON is printed instead.
    title, note : str
        What is said before the heading of every comparison, and after its remarks.
    """
    shown, done = (title + heading(found), text), found.table()
    scores = done.loc[done["error"] == "", "mean_pearson"]
    said = [found.outcome(name) for name in found.failures] + notes(found.params, scores)
    said += [note] if note else []
    errors = [f"{row}: {why.reason}\n{why.details}" for row, why in found.failures.items()]
    files = {
        place.with_suffix(".csv"): table.to_csv(index=False),
        place.with_suffix(".md"): markdown_page([shown], said),
        place.with_name("errors.txt"): "\n\n".join(errors),
    }
    for path, content in files.items():
        write_text(content, path)
    with replacing_file(parquet := place.with_suffix(".parquet")) as beside:
        table.to_parquet(beside, index=False)
    names = [str(path) for path in [*files, parquet]]
    if as_json:
        about = {"split": found.split, "n_reused": found.n_reused, "remarks": said}
        rows = {place.name: records(table)}
        print(json.dumps({**about, "files": names, **rows}, indent=2))
    else:
        print_table(*shown, [*said, "", f"{found.n_reused} rows are from before", *names])
    if not found.members:
        raise typer.Exit(1)
