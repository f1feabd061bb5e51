"""The command `eri predict`: what it prints and writes."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from features.files import replacing_file
from pipeline.predict.embedded import Embedded
from pipeline.predict.predictor import Predictor, load_bundle
from pipeline.predict.timeline_picture import timeline_svg


@dataclass(frozen=True)
class TimelineRequest:
    """Where a timeline goes, and its windows in seconds."""

    folder: Path
    window_s: float
    hop_s: float


def predict_and_print(
    paths: list[Path],
    bundle: Path,
    csv: Path | None,
    parquet: Path | None,
    timeline: TimelineRequest | None,
    as_json: bool,
) -> bool:
    """Predict media files, print what came of it, and write it where asked for.

    Parameters
    ----------
    paths : list of Path
        Media files, or folders of them.
    bundle : Path
        The bundle's folder.
    csv, parquet : Path, optional
        Files for the table of `Predictor.table`; their folders are made where there are none.
    timeline : TimelineRequest, optional
        Also predict windows of the clips; writes ``timeline.csv``, ``timeline.parquet`` and a
        picture for each clip.
    as_json : bool
        Print JSON instead of text.

    Returns
    -------
    bool
        Whether any clip was predicted.

    Raises
    ------
    BundleError, EncoderError, ParamsError, OSError
        As `load_bundle` and `Predictor.predict`.
    """
    with load_bundle(bundle) as predictor:
        _make_folders([path for path in (csv, parquet) if path is not None], timeline)
        with predictor.embedded(paths) as embedded:
            table = predictor.table(embedded)
            if csv is not None:
                with replacing_file(csv) as beside:
                    table.to_csv(beside, index=False)
            if parquet is not None:
                with replacing_file(parquet) as beside:
                    table.to_parquet(beside, index=False)
            if timeline is not None:
                _write_timeline(predictor, embedded, timeline)
    show = _as_json if as_json else _as_text
    print(show(table, predictor))
    return bool(_predicted(table, predictor).any())


def _make_folders(files: Sequence[Path], timeline: TimelineRequest | None) -> None:
    """Make the folders of what will be written: after hours of embedding would be too late."""
    for path in files:
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder: expected a file to write the table to")
    for folder in [*(path.parent for path in files), *([timeline.folder] if timeline else [])]:
        if folder.is_file():
            raise NotADirectoryError(f"{folder} is a file: expected a folder to write to")
        folder.mkdir(parents=True, exist_ok=True)


def _write_timeline(predictor: Predictor, embedded: Embedded, request: TimelineRequest) -> None:
    windows = predictor.windows(embedded, window_s=request.window_s, hop_s=request.hop_s)
    with replacing_file(request.folder / "timeline.csv") as beside:
        windows.to_csv(beside, index=False)
    with replacing_file(request.folder / "timeline.parquet") as beside:
        windows.to_parquet(beside, index=False)
    for clip_id, part in windows.groupby("clip_id", sort=False):
        if part[list(predictor.description.targets)].notna().any(axis=None):
            picture = timeline_svg(str(clip_id), part.drop(columns="clip_id"))
            with replacing_file(request.folder / f"{clip_id}.svg") as beside:
                beside.write_text(picture, encoding="utf-8")


def _predicted(table: pd.DataFrame, predictor: Predictor) -> "pd.Series[bool]":
    return table[list(predictor.description.targets)].notna().all(axis=1)


def _as_json(table: pd.DataFrame, predictor: Predictor) -> str:
    targets = list(predictor.description.targets)
    rest = table.drop(columns=targets).to_dict("records")
    clips = [
        {**each, "intensities": dict(zip(targets, values, strict=True)) if there else None}
        for each, values, there in zip(
            rest, table[targets].to_numpy().tolist(), _predicted(table, predictor), strict=True
        )
    ]
    content: dict[str, Any] = {
        "targets": targets,
        "random_weights": predictor.random_encoders,
        "clips": clips,
    }
    return json.dumps(content, indent=2)


def _as_text(table: pd.DataFrame, predictor: Predictor) -> str:
    targets, predicted = list(predictor.description.targets), _predicted(table, predictor)
    shown = table.loc[predicted, ["clip_id", *targets]].assign(
        missing=table.loc[predicted, "missing"].replace("", "-")
    )
    lines = []
    if len(shown):
        number: Callable[[float], str] = "{:.3f}".format
        lines.append(shown.to_string(index=False, float_format=number))
    partial = predicted & (table["missing"] != "").to_numpy(bool)
    lines += [
        f"{word} {row.clip_id}: {row.reasons}"
        for word, rows in (("predicted from the rest", partial), ("not predicted", ~predicted))
        for row in table[rows].itertuples()
    ]
    lines.append(
        f"{int(predicted.sum())} of {len(table)} clips predicted"
        + (f", {int(partial.sum())} of them from a part of the encoders" if partial.any() else "")
    )
    if predictor.random_encoders:
        names = ", ".join(predictor.random_encoders)
        lines.append(f"Encoders with random weights: {names}. Such predictions mean nothing.")
    return "\n".join(lines)
