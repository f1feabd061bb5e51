"""The command `eri tune`."""

from typing import Annotated

import typer

from pipeline.commands.options import Json, ParamsFile
from pipeline.paths import PARAMS


def tune_command(
    head: Annotated[str, typer.Argument(help="A name under heads: in params.yaml.")],
    trials: Annotated[
        int, typer.Option(min=1, help="How many there shall be, earlier ones included.")
    ] = 50,
    view: Annotated[
        str | None, typer.Option(help="Encoders joined by +; default all of them.")
    ] = None,
    params_file: ParamsFile = PARAMS,
    as_json: Json = False,
) -> None:
    """Search a head's settings by their score out of fold, and write the best into params.yaml.

    A search that was stopped goes on where it was. Val and Test are never looked at.

    Example: eri tune lightgbm --trials 40

    Example: eri tune mlp --view clip+egemaps
    """
    from pipeline.tune.command import tune_and_write

    tune_and_write(head, trials, view, params_file, as_json)
