"""`eri compare`: which heads on which features, with what certainty."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from pipeline.breakdowns import learning_curve_table, slice_table
from pipeline.comparison import (
    TIME_LIMIT_S,
    Split,
    plan_comparison,
    run_comparison,
    scored_split,
)
from pipeline.fit import Fitting
from pipeline.paths import COMPARISON, PARAMS
from pipeline.settings_files import known_names
from pipeline.showing import board_text, heading, publish, remarks, show_progress
from pipeline.tables import laid_out, number_text
from pipeline.terminal import Json, On, ParamsFile, names_of

ScoredSplit = Annotated[
    Split | None,
    typer.Option(help="Score out of fold on Train, or on Val; default val where labelled."),
]
TimeLimit = Annotated[float, typer.Option(min=0.1, help="Longest time for one head on one view.")]
OutFolder = Annotated[Path, typer.Option(help="Folder for the tables.")]


def compare(
    encoders: Sequence[str] | None = None,
    heads: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    pooling: str | None = None,
    split: Split | None = None,
    params: Path = PARAMS,
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
    pooling : str, optional
        Statistics and parts, such as ``mean,std/whole,halves``; see `features.pool.Pooling`.
    split : {"oof", "val"}, optional
        The predictions that are scored: out of fold on Train, or on Val. By default Val, or out of
        fold where Val has no labels.
    params : Path
        The parameters.
    time_limit_s : float
        Longest time for one head on one view, without loading the view.
    budget_s : float
        What all may take together: quick ones come first, and what has no room is left out.
    on : str, optional
        A cluster; see `features.extraction.cluster.Cluster`.

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
    What `dvc repro` leaves in a folder, made by hand:

    >>> import contextlib, pathlib, tempfile
    >>> import numpy as np
    >>> from features.store_writer import write_clip_vectors
    >>> from pipeline.clip_table import make_folds
    >>> from pipeline.params import load_params
    >>> settings = '''
    ... seed: 0
    ... targets: [joy]
    ... data: {labels: labels.csv, media: .}
    ... sampling: {frame_rate_hz: 1, sample_rate_hz: 16000}
    ... encoders: {voice: {kind: opensmile, model: eGeMAPSv02}}
    ... pooling: {statistics: [mean], parts: [whole]}
    ... heads: {ridge: {kind: ridge}, pls: {kind: pls}}
    ... '''
    >>> joy = np.random.default_rng(0).uniform(size=40)
    >>> clips = pd.DataFrame({"clip_id": [f"c{k}" for k in range(40)], "joy": joy})
    >>> clips = clips.assign(split=["Train"] * 30 + ["Val"] * 10, duration_s=1.0)
    >>> clips["group"] = [f"person {k // 2}" for k in range(40)]
    >>> vectors = np.stack([joy, joy**2, 1 - joy], axis=1).astype(np.float32)
    >>> with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
    ...     _ = pathlib.Path("params.yaml").write_text(settings)
    ...     path = pathlib.Path("data/pooled/voice.parquet")
    ...     write_clip_vectors(path, clips["clip_id"].to_numpy(object), vectors, {})
    ...     clips.to_parquet("data/clips.parquet")
    ...     make_folds(clips, load_params()).to_parquet("data/folds.parquet")
    ...     table = compare(split="oof")
    >>> sorted(table["name"])
    ['baseline/duration', 'baseline/mean', 'pls/voice', 'ridge/voice', 'stack']
    >>> bool(table.set_index("name")["mean_pearson"]["ridge/voice"] > 0.9)
    True
    """
    plan = plan_comparison(params, encoders, heads, targets, pooling, split)
    *_, found = run_comparison(plan, time_limit_s, budget_s, on)
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
    split: ScoredSplit = None,
    by: Annotated[
        str | None, typer.Option(help="A column, such as country: scores by its values too.")
    ] = None,
    learning_curve: Annotated[
        bool, typer.Option("--learning-curve", help="Fit the best one on fewer people too.")
    ] = False,
    time_limit_s: TimeLimit = TIME_LIMIT_S,
    budget_s: Annotated[
        float | None,
        typer.Option(min=1, help="The best leaderboard within so many seconds, or inf; 120."),
    ] = None,
    out: OutFolder = COMPARISON,
    on: On = None,
    params_file: ParamsFile = PARAMS,
    as_json: Json = False,
) -> None:
    """Rank heads on views: which heads on which features, with what certainty.

    Names are joined by commas. What was fitted before, here or by `dvc repro`, is not fitted
    again. What is quick comes first. A head that fails, takes too long or has no room in the budget
    is a row that says so.

    Example: eri compare --heads ridge,svr --encoders clip,egemaps,clip+egemaps --budget-s inf

    Example: eri compare --pooling mean,std,slope/whole,quarters --by country --learning-curve
    """
    asked = names_of(encoders), names_of(heads), names_of(targets)
    plan = plan_comparison(params_file, *asked, pooling, split)
    if by is not None:
        known_names([by], map(str, plan.rows.clips), "column")
    if learning_curve:
        scored_split("val", plan.rows)  # it is scored there
    steps = run_comparison(plan, time_limit_s, budget_s, on or plan.params.execution.cluster)
    found = show_progress(steps, quiet=as_json)
    table, said = found.table().assign(split=found.split), remarks(found)
    tables = {"leaderboard": table, "slices": pd.DataFrame(), "learning_curve": pd.DataFrame()}
    shown = [(heading(found), board_text(found))]
    in_order = [name for name in table["name"] if name in found.fits]
    if by is not None:
        named = {name: found.fits[name].predictions for name in in_order}
        slices = slice_table(named, found.rows, found.params, [by], [found.split])
        tables["slices"] = slices
        shown.append((f"Mean Pearson by {by}", _slices_text(slices)))
    if learning_curve and found.members:
        best = next(found.members[name] for name in in_order if name in found.members)
        try:
            curve = learning_curve_table(Fitting(found.rows), best, found.params)
            tables["learning_curve"] = curve
            shown.append(("Learning curve on Val", laid_out(curve)))
        except ValueError as error:
            said.append(f"no learning curve of {best.name}: {error}")
    publish(found, "leaderboard", tables, shown, said, out, as_json)


def _slices_text(slices: pd.DataFrame) -> pd.DataFrame:
    """Lay out scores by slice: a row per head and view, a column per slice."""
    columns = {"head/view": slices["name"].drop_duplicates().reset_index(drop=True)}
    for name, part in slices.groupby("slice", sort=False):
        size = f"{part['n_rows'].iloc[0]:,} clips, {part['n_people'].iloc[0]:,} people"
        columns[f"{name}: {size}"] = number_text(part["mean_pearson"]).reset_index(drop=True)
    return pd.DataFrame(columns)
