"""The command `eri predict`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.options import Json
from pipeline.paths import BUNDLE


def predict_command(
    paths: Annotated[list[Path], typer.Argument(help="Media files, or folders of them.")],
    bundle: Annotated[Path, typer.Option(help="The bundle that `dvc repro` wrote.")] = BUNDLE,
    csv: Annotated[Path | None, typer.Option(help="Write the table here, as CSV.")] = None,
    parquet: Annotated[Path | None, typer.Option(help="Write it as Parquet.")] = None,
    timeline: Annotated[
        Path | None, typer.Option(help="Folder for tables and pictures of intensity over time.")
    ] = None,
    window_s: Annotated[float, typer.Option(min=0.1, help="Length of its windows.")] = 2.0,
    hop_s: Annotated[float, typer.Option(min=0.01, help="From one window to the next.")] = 0.5,
    as_json: Json = False,
) -> None:
    """Predict the intensities of new clips: videos, sounds or pictures.

    A clip without sound or without a face is predicted from the rest, and says so. Embeddings come
    from the cache where it has them. Status 1 when no clip could be predicted.

    Example: eri predict videos/ --csv predicted.csv

    Example: eri predict clip.mp4 --bundle results/bundle --json

    Example: eri predict clip.mp4 --timeline over_time/ --window-s 2 --hop-s 0.5
    """
    from pipeline.predict.command import TimelineRequest, predict_and_print

    over_time = None if timeline is None else TimelineRequest(timeline, window_s, hop_s)
    if not predict_and_print(paths, bundle, csv, parquet, over_time, as_json):
        raise typer.Exit(1)
