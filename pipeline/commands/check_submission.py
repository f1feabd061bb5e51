"""The command `eri check-submission`."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.commands.options import Json, ParamsFile
from pipeline.paths import PARAMS


def check_submission_command(
    file: Annotated[Path, typer.Argument(help="The prediction file, CSV.")],
    split: Annotated[
        Literal["Test", "Val", "all"], typer.Option(help="Whose clips it should have.")
    ] = "all",
    params_file: ParamsFile = PARAMS,
    as_json: Json = False,
) -> None:
    """Check a prediction file against the clip table before it is handed in, and score it.

    Status 1 when it would be refused.

    Example: eri check-submission results/predictions.csv

    Example: eri check-submission predictions.csv --split Test
    """
    from pipeline.challenge.checking import check_submission, check_text
    from pipeline.clip_table import read_clip_table
    from pipeline.params import load_params

    params = load_params(params_file, check_heads=False)
    check = check_submission(file, read_clip_table(), params.targets, split)
    print(json.dumps(check.as_json(), indent=2) if as_json else check_text(check, file))
    if not check.accepted:
        raise typer.Exit(1)
