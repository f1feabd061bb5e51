"""The command `eri predict`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.files import replacing_file
from pipeline.paths import BUNDLE
from pipeline.tables import write_csv
from pipeline.terminal import Json

if TYPE_CHECKING:  # heavy
    import pandas as pd

    from pipeline.predict import Predictor


def predict_command(
    paths: Annotated[list[Path], typer.Argument(help="Media files, or folders of them.")],
    bundle: Annotated[Path, typer.Option(help="The bundle that `dvc repro` wrote.")] = BUNDLE,
    csv: Annotated[Path | None, typer.Option(help="Write the table here, as CSV.")] = None,
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
    from pipeline.predict import load_bundle

    with load_bundle(bundle) as predictor:
        _make_folders(csv, timeline)
        embedded = predictor.embed(paths)
        table = predictor.table(embedded)
        if csv is not None:
            write_csv(table, csv)
        if timeline is not None:
            windows = predictor.windows(embedded, window_s=window_s, hop_s=hop_s)
            _write_timeline(windows, predictor.description.targets, timeline)
    predicted = table[list(predictor.description.targets)].notna().all(axis=1)
    print((_as_json if as_json else _as_text)(table, predicted, predictor))
    if not predicted.any():
        raise typer.Exit(1)


def timeline_svg(title: str, windows: "pd.DataFrame") -> str:
    """Draw a clip's timeline as one self-contained SVG, a strip per target.

    All strips share one scale, so that their heights can be compared. Where a window has no
    prediction, the line is broken.

    Parameters
    ----------
    title : str
        Written above, such as the clip's id.
    windows : DataFrame
        ``time_s`` and a column per target, from `Predictor.windows`; at least one number.

    Returns
    -------
    str
        SVG, which refers to no other file and holds no script.
    """
    import pandas as pd

    from pipeline import report
    from pipeline.report.figures import render_svg

    template = Path(report.__file__).parent / "templates" / "timeline.json"
    table = windows.melt("time_s", var_name="target", value_name="intensity")
    table["place"] = pd.factorize(table["target"])[0]  # Vega-Lite would sort strips by name
    return render_svg(template, table, x="time_s", y="intensity", title=title)


def _make_folders(csv: Path | None, timeline: Path | None) -> None:
    """Make the folders of what will be written: after hours of embedding would be too late."""
    if csv is not None and csv.is_dir():
        raise IsADirectoryError(f"{csv} is a folder: expected a file to write the table to")
    for folder in (csv and csv.parent, timeline):
        if folder is not None and folder.is_file():
            raise NotADirectoryError(f"{folder} is a file: expected a folder to write to")
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)


def _write_timeline(windows: "pd.DataFrame", targets: Sequence[str], folder: Path) -> None:
    write_csv(windows, folder / "timeline.csv")
    with replacing_file(folder / "timeline.parquet") as beside:
        windows.to_parquet(beside, index=False)
    for clip_id, part in windows.groupby("clip_id", sort=False):
        if part[list(targets)].notna().any(axis=None):
            picture = timeline_svg(str(clip_id), part.drop(columns="clip_id"))
            with replacing_file(folder / f"{clip_id}.svg") as beside:
                beside.write_text(picture, encoding="utf-8")


def _as_json(table: "pd.DataFrame", predicted: "pd.Series[bool]", predictor: "Predictor") -> str:
    targets = list(predictor.description.targets)
    clips = table.drop(columns=targets).to_dict("records")
    intensities = table[targets].to_dict("records")
    for clip, values, there in zip(clips, intensities, predicted, strict=True):
        clip["intensities"] = values if there else None
    content = {"targets": targets, "random_weights": predictor.random_encoders, "clips": clips}
    return json.dumps(content, indent=2)


def _as_text(table: "pd.DataFrame", predicted: "pd.Series[bool]", predictor: "Predictor") -> str:
    partial = predicted & (table["missing"] != "").to_numpy(bool)
    lines = []
    if predicted.any():
        shown = table.loc[predicted, ["clip_id", *predictor.description.targets, "missing"]]
        shown["missing"] = shown["missing"].replace("", "-")
        lines.append(shown.to_string(index=False, float_format="{:.3f}".format))
    for what, clips in (("predicted from the rest", partial), ("not predicted", ~predicted)):
        lines += [f"{what} {row.clip_id}: {row.reasons}" for row in table[clips].itertuples()]
    rest = f", {partial.sum()} of them from a part of the encoders" if partial.any() else ""
    lines.append(f"{predicted.sum()} of {len(table)} clips predicted{rest}")
    if predictor.random_encoders:
        names = ", ".join(predictor.random_encoders)
        lines.append(f"Encoders with random weights: {names}. Such predictions mean nothing.")
    return "\n".join(lines)
