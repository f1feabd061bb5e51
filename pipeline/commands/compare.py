"""The command `eri compare`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.commands.options import Json, ParamsFile, names_of
from pipeline.paths import COMPARISON, PARAMS


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
    ] = 600.0,
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
    from pipeline.compare.command import compare_and_print
    from pipeline.compare.plan import Request

    request = Request(
        encoders=names_of(encoders),
        heads=names_of(heads),
        targets=names_of(targets),
        pooling=pooling,
        split=split,
        by=by,
        learning_curve=learning_curve,
        params=params_file,
    )
    compare_and_print(request, time_limit_s, out, as_json)
