"""`eri compare`: which heads on which features, with what certainty."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import typer

from features.files import replacing_file
from pipeline.comparison import TIME_LIMIT_S, Comparison, plan_comparison, run_comparison
from pipeline.leaderboard import SPLITS, records
from pipeline.options import Json, ParamsFile, names_of
from pipeline.paths import COMPARISON, PARAMS
from pipeline.text_tables import (
    curve_text,
    fixed_text,
    interval_text,
    markdown_page,
    notes,
    signed_text,
)

INTERRUPTED = 130

Tables = list[tuple[str, pd.DataFrame]]
"""Tables of text with their titles."""


def compare(
    encoders: Sequence[str] | None = None,
    heads: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    pooling: str | None = None,
    split: Literal["oof", "val"] | None = None,
    params: Path = PARAMS,
    time_limit_s: float = TIME_LIMIT_S,
    on_change: Callable[[Comparison], None] | None = None,
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
    pooling : str, optional
        Statistics and parts, such as ``mean,std/whole,halves``; see `features.pool.Pooling`.
    split : {"oof", "val"}, optional
        The predictions that are scored: out of fold on Train, or on Val. By default Val, or out of
        fold where Val has no labels.
    params : Path
        The parameters.
    time_limit_s : float
        Longest time for one head on one view, without loading the view.
    on_change : callable, optional
        Called with the comparison whenever something is new in it; its ``table()`` is the
        leaderboard so far.

    Returns
    -------
    DataFrame
        Every head on every view, two baselines and the stack of the heads, best first, with the
        columns of `pipeline.comparison.Comparison.table`; then what failed, with the reason in
        ``error``.

    Raises
    ------
    ParamsError
        For a name that is not known, or settings that are wrong.
    StoreError
        When the clip vectors of an encoder are missing.

    Examples
    --------
    >>> from pipeline.compare import compare
    >>> compare(encoders=["egemaps"], heads=["ridge"])  # doctest: +SKIP
    """
    plan = plan_comparison(params, encoders, heads, targets, pooling, split)
    for found in run_comparison(plan, time_limit_s):
        if on_change is not None:
            on_change(found)
    return found.table()


def compare_command(
    encoders: Annotated[
        str | None,
        typer.Option(help="Views: encoders, alone or joined by +; default each, and all joined."),
    ] = None,
    heads: Annotated[
        str | None, typer.Option(help="Names from params.yaml, or kinds; default all named there.")
    ] = None,
    targets: Annotated[
        str | None, typer.Option(help="Fit and score these only; default all.")
    ] = None,
    pooling: Annotated[
        str | None, typer.Option(help="Statistics/parts, such as mean,std/whole,halves.")
    ] = None,
    split: Annotated[
        Literal["oof", "val"] | None,
        typer.Option(help="Score out of fold on Train, or on Val; default val where labelled."),
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="A column, such as country: scores by its values too.")
    ] = None,
    learning_curve: Annotated[
        bool, typer.Option("--learning-curve", help="Fit the best one on fewer people too.")
    ] = False,
    time_limit_s: Annotated[
        float, typer.Option(min=0.1, help="Longest time for one head on one view.")
    ] = TIME_LIMIT_S,
    out: Annotated[Path, typer.Option(help="Folder for the tables.")] = COMPARISON,
    params_file: ParamsFile = PARAMS,
    as_json: Json = False,
) -> None:
    """Rank heads on views: which heads on which features, with what certainty.

    Names are joined by commas. What was fitted before, here or by `dvc repro`, is not fitted
    again. A head that fails or takes too long is a row.

    Example: eri compare --heads ridge,lightgbm --encoders clip,egemaps,clip+egemaps

    Example: eri compare --pooling mean,std,slope/whole,quarters --split oof

    Example: eri compare --by country --learning-curve
    """
    if pooling is not None and pooling.count("/") != 1:
        raise typer.BadParameter("expected statistics/parts, such as mean,std/whole,halves")
    asked = names_of(encoders), names_of(heads), names_of(targets)
    plan = plan_comparison(params_file, *asked, pooling, split, by, learning_curve)
    found = show_progress(run_comparison(plan, time_limit_s), quiet=as_json)
    files = write_files(found, out)
    if as_json:
        print(json.dumps(as_content(found, files), indent=2))
    else:
        from pipeline.terminal import Screen

        Screen().print(all_tables(found), [*remarks(found), "", *map(str, files)])
    if not found.members:
        raise typer.Exit(1)


def show_progress(steps: Iterator[Comparison], quiet: bool = False) -> Comparison:
    """Run a comparison to its end, and show how it fills up.

    In a terminal the leaderboard is drawn anew whenever something changes, and disappears in the
    end; elsewhere every finished row is one line.

    Parameters
    ----------
    steps : iterator of Comparison
        From `pipeline.comparison.run_comparison`.
    quiet : bool
        Show nothing.

    Raises
    ------
    typer.Exit
        When it was interrupted; what is fitted stays so.
    """
    try:
        if quiet:
            *_, found = steps
            return found
        from pipeline.terminal import Screen  # not for JSON: rich takes its time

        told: set[str] = set()
        with Screen() as screen:
            for found in steps:
                for name in {**found.scores, **found.failures}:
                    if name not in told and not (name in found.fits and found.fits[name].reused):
                        screen.tell(_outcome(found, name))
                        told.add(name)
                screen.draw(partial(_drawing, found))
            screen.print(lines=[_progress(found)])
        return found
    except KeyboardInterrupt:
        print("interrupted; what is fitted stays so: the same command goes on", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None


def heading(found: Comparison) -> str:
    """Say what is scored, on how many clips and people, and how intervals are made."""
    plan, rows = found.plan, found.plan.rows
    in_split = (rows.clips["split"] == SPLITS[plan.split]).to_numpy(bool)
    labelled = in_split & np.isfinite(rows.y).any(axis=1)
    where = "on Val" if plan.split == "val" else "out of fold on Train"
    return (
        f"Mean Pearson over {len(plan.params.targets)} targets {where}: {labelled.sum():,} clips "
        f"of {len(set(rows.people[labelled])):,} people; intervals and P from "
        f"{plan.params.evaluation.n_resamples:,} resamples of people"
    )


def main_table(found: Comparison) -> pd.DataFrame:
    """Lay out the leaderboard: per row its score, how sure it is, time, and score by target."""
    table, plan = found.table(), found.plan
    columns = {
        "head/view": table["name"],
        "mean r": signed_text(table["mean_pearson"]).where(table["error"] == "", "failed"),
        "95 % CI": interval_text(table),
        "P > best": fixed_text(table["better_than_best"], 3),
    }
    if plan.split == "oof":
        columns["pooled"] = signed_text(table["pooled_mean_pearson"])
    columns["fit s"] = fixed_text(table["fit_s"], 1)
    if table["constant"].any():
        columns["constant"] = table["constant"]
    by_target = {target: signed_text(table[f"pearson_{target}"]) for target in plan.params.targets}
    # Side by side, not by name: a target may be called like one of ours.
    return pd.concat([*columns.values(), *by_target.values()], axis=1, keys=[*columns, *by_target])


def all_tables(found: Comparison) -> Iterator[tuple[str, pd.DataFrame]]:
    """Lay out the leaderboard, scores by slice, and the learning curve, with their titles."""
    yield heading(found), main_table(found)
    if found.slices is not None:
        columns = {"head/view": found.slices["name"].drop_duplicates().reset_index(drop=True)}
        for name, part in found.slices.groupby("slice", sort=False):
            size = f"{part['n_rows'].iloc[0]:,} clips, {part['n_people'].iloc[0]:,} people"
            columns[f"{name}: {size}"] = signed_text(part["mean_pearson"]).reset_index(drop=True)
        yield f"Mean Pearson by {found.plan.by}", pd.DataFrame(columns)
    if found.curve is not None:
        yield f"Learning curve of {found.curve_of} on Val", curve_text(found.curve)


def remarks(found: Comparison) -> list[str]:
    """Say what failed and why, and what must be said beside every result."""
    return [_outcome(found, name) for name in found.failures] + notes(found.plan.params)


def write_files(found: Comparison, folder: Path) -> list[Path]:
    """Write the leaderboard, second tables, and the tracebacks of what failed.

    Parameters
    ----------
    found : Comparison
        When all is done.
    folder : Path
        Gets ``leaderboard.parquet``, ``.csv`` and ``.md``; ``slices.csv`` and
        ``learning_curve.csv`` where asked for; ``errors.txt`` where something failed. What is not
        written is removed, so that nothing stays of an earlier comparison.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    OSError
        When the folder cannot be written.
    """
    table = found.table()
    table.insert(1, "split", found.plan.split)
    errors = "\n\n".join(
        f"{name}: {failure.reason}\n{failure.details}" for name, failure in found.failures.items()
    )
    texts = {
        "leaderboard.csv": table.to_csv(index=False),
        "leaderboard.md": markdown_page(all_tables(found), remarks(found)),
        "slices.csv": None if found.slices is None else found.slices.to_csv(index=False),
        "learning_curve.csv": None if found.curve is None else found.curve.to_csv(index=False),
        "errors.txt": errors or None,
    }
    folder.mkdir(parents=True, exist_ok=True)
    with replacing_file(folder / "leaderboard.parquet") as beside:
        table.to_parquet(beside, index=False)
    for name, text in texts.items():
        if text is None:
            (folder / name).unlink(missing_ok=True)
        else:
            with replacing_file(folder / name) as beside:
                beside.write_text(text, encoding="utf-8")
    written = [name for name, text in texts.items() if text is not None]
    return [folder / name for name in ("leaderboard.parquet", *written)]


def as_content(found: Comparison, files: Sequence[Path]) -> dict[str, Any]:
    """Return all that is known of a comparison, for `json.dumps`; what is undefined is None."""
    targets = found.plan.params.targets
    rows = records(found.table())
    for row in rows:
        row["ci95"] = [row.pop("ci95_low"), row.pop("ci95_high")]
        row["pearson"] = {target: row.pop(f"pearson_{target}") for target in targets}
    return {
        "split": found.plan.split,
        "targets": list(targets),
        "n_reused": found.n_reused,
        "rows": rows,
        "slices": records(found.slices),
        "learning_curve": records(found.curve),
        "remarks": remarks(found),
        "files": [str(path) for path in files],
    }


def _drawing(found: Comparison) -> tuple[str, pd.DataFrame]:
    return _progress(found), main_table(found)


def _progress(found: Comparison) -> str:
    """Say how far a comparison is, and what runs now and since when."""
    n_rows = len({task.name for task in found.plan.tasks}.union(found.scores, found.failures))
    text = f"{len(found.scores)} of {n_rows} rows are done, {found.n_reused} of them from before"
    text += f"; {len(found.failures)} failed" if found.failures else ""
    if found.running is not None:
        name, since_s = found.running
        text += f"; {name} has taken {time.monotonic() - since_s:.0f} s"
    return text


def _outcome(found: Comparison, name: str) -> str:
    """Say in one line what came of a row."""
    if name in found.failures:
        return f"{name} failed: {found.failures[name].reason}"
    score, took_s = found.scores[name].mean_pearson, found.fits[name].fit_s
    return f"{name}: mean Pearson {score:+.3f}, {took_s:.1f} s"
