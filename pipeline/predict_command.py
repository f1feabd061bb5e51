"""The command `eri predict`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.files import replacing_file
from pipeline.tables import records, write_csv
from pipeline.terminal import Json

if TYPE_CHECKING:  # heavy
    import pandas as pd

    from pipeline.predict import Predictor

WhichBundle = Annotated[
    str | None,
    typer.Option("--bundle", help="face, voice (they come with eri), or the folder of a bundle."),
]
"""Without it: the bundle that `dvc repro` wrote, where there is one, else both ready ones."""


def predict_command(
    paths: Annotated[list[Path], typer.Argument(help="Media files, or folders of them.")],
    bundle: WhichBundle = None,
    csv: Annotated[Path | None, typer.Option(help="Write the table here, as CSV.")] = None,
    timeline: Annotated[
        Path | None, typer.Option(help="Folder for tables of intensity over time.")
    ] = None,
    window_s: Annotated[float, typer.Option(min=0.1, help="Length of a window of it.")] = 2.0,
    hop_s: Annotated[float, typer.Option(min=0.01, help="From one window to the next.")] = 0.5,
    as_json: Json = False,
) -> None:
    """Predict new clips: videos, sounds or pictures.

    The bundle that `dvc repro` wrote predicts; before the first run the two that come with eri do,
    side by side: what faces show, and what is heard in voices. A clip without sound or without a
    face is predicted from the rest, and says so. Embeddings come from the cache where it has them.
    Status 1 when no clip could be predicted.

    Example: eri predict videos/ --csv predicted.csv

    Example: eri predict clip.mp4 --bundle voice --json

    Example: eri predict clip.mp4 --timeline over_time/ --window-s 2 --hop-s 0.5
    """
    from pipeline.predict import load_bundle

    with load_bundle(bundle) as predictor:
        for folder in (csv and csv.parent, timeline):  # after hours of embedding is too late
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
        embedded = predictor.embed(paths)
        table = predictor.table(embedded)
        if csv is not None:
            write_csv(table, csv)
        if timeline is not None:
            windows = predictor.windows(embedded, window_s=window_s, hop_s=hop_s)
            write_csv(windows, timeline / "timeline.csv")
            with replacing_file(timeline / "timeline.parquet") as beside:
                windows.to_parquet(beside, index=False)
    print((_as_json if as_json else _as_text)(table, predictor))
    if table[predictor.targets].isna().all(axis=None):
        raise typer.Exit(1)


def _as_json(table: "pd.DataFrame", predictor: "Predictor") -> str:
    clips = records(table.drop(columns=predictor.targets))
    for clip, values in zip(clips, records(table[predictor.targets]), strict=True):
        clip["intensities"] = None if all(each is None for each in values.values()) else values
    content = {"targets": predictor.targets, "random_weights": predictor.random_encoders}
    return json.dumps({**content, "clips": clips}, indent=2)


def _as_text(table: "pd.DataFrame", predictor: "Predictor") -> str:
    lines = []
    for bundle in predictor.bundles:
        shown = table[["clip_id", *bundle.description.targets]].dropna()
        if len(shown):
            lines += [shown.to_string(index=False, float_format="{:.3f}".format), ""]
    predicted = table[predictor.targets].notna().any(axis=1)
    partial = predicted & (table["missing"] != "").to_numpy(bool)
    for what, clips in (("predicted from the rest", partial), ("not predicted", ~predicted)):
        lines += [f"{what} {row.clip_id}: {row.reasons}" for row in table[clips].itertuples()]
    rest = f", {partial.sum()} of them from a part of the encoders" if partial.any() else ""
    lines.append(f"{predicted.sum()} of {len(table)} clips predicted{rest}")
    if predictor.random_encoders:
        names = ", ".join(predictor.random_encoders)
        lines.append(f"Encoders with random weights: {names}. Such predictions mean nothing.")
    return "\n".join(lines)
