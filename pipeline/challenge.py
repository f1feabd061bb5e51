"""`eri check-submission`: the challenge's prediction file, checked before it is handed in."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray

from pipeline.clip_table import read_clip_table
from pipeline.params import ParamsError, load_params
from pipeline.terminal import Json, say
from pipeline.views import FILE_ID, distinct_file_ids


def check_submission(
    path: Path, clips: pd.DataFrame, targets: Sequence[str], splits: Sequence[str] = ("Val", "Test")
) -> dict[str, dict[str, Any]]:
    """Check a prediction file: columns, ids and numbers; and score it where there are labels.

    Parameters
    ----------
    path : Path
        CSV in UTF-8, with or without a byte order mark.
    clips : DataFrame
        The clip table.
    targets : sequence of str
        In the challenge's order.
    splits : sequence of str
        Whose clips the file should have, all of them.

    Returns
    -------
    dict of str to dict
        For `json.dumps`, by labelled split: ``official_mean_pearson``, ``mean_pearson``, and
        ``official_pearson`` and ``pearson`` by target. An undefined score, such as the official one
        of a constant column, is None.

    Raises
    ------
    ParamsError
        When the file would be refused: says all that is wrong with it. Also when the clip table
        has no clip of these splits, lacks a target, or gives an id twice.
    OSError
        When there is no such file.
    """
    if lacking := [target for target in targets if target not in clips]:
        raise ParamsError(f"the clip table lacks the target(s) {lacking}: run `dvc repro`")
    expected = clips[clips["split"].isin(splits)]
    if expected.empty:
        raise ParamsError(f"the clip table has no clip of {' or '.join(splits)}: nothing to check")
    expected = expected.set_index(pd.Index(distinct_file_ids(expected)))
    table = _read(path, [FILE_ID, *targets])
    predicted = table.apply(pd.to_numeric, errors="coerce").astype(np.float64)
    no_numbers = np.argwhere(~np.isfinite(predicted.to_numpy()))
    odd: dict[str, Any] = {
        "ids are missing": expected.index.difference(table.index, sort=False),
        "ids are there several times": table.index[table.index.duplicated()].unique(),
        "ids are of no clip of " + " or ".join(splits): table.index.difference(expected.index),
        "cells are no finite numbers": [
            f"{table.index[row]} {targets[column]}: {table.iloc[row, column]}"
            for row, column in no_numbers
        ],
    }
    if said := [f"{what}: {_some(found)}" for what, found in odd.items() if len(found)]:
        raise ParamsError(f"{path} would be refused: {'; '.join(said)}")
    scores = {}
    for split, labels in expected.groupby("split", sort=False):
        y = labels[list(targets)].to_numpy(np.float64)
        if np.isfinite(y).any():
            scores[str(split).lower()] = _scores(y, predicted.loc[labels.index])
    return scores


def check_submission_command(
    file: Annotated[Path, typer.Argument(help="The prediction file, CSV.")],
    split: Annotated[
        Literal["Test", "Val", "all"], typer.Option(help="Whose clips it should have.")
    ] = "all",
    as_json: Json = False,
) -> None:
    """Check a prediction file, and score it.

    It is held against the clip table. Status 1 when it would be refused.

    Example: eri check-submission results/predictions.csv

    Example: eri check-submission predictions.csv --split Test
    """
    params = load_params(check_heads=False)
    splits = ["Val", "Test"] if split == "all" else [split]
    scores = check_submission(file, read_clip_table(), params.targets, splits)
    lines = [f"{file}: the format is as the challenge wants it"]
    for name, of_split in scores.items():
        columns = {f"{name} r official": "official_", f"{name} r eri": ""}
        table = pd.DataFrame({key: of_split[f"{kind}pearson"] for key, kind in columns.items()})
        table.loc["mean"] = [of_split[f"{kind}mean_pearson"] for kind in columns.values()]
        numbers = table.astype(np.float64)
        lines += ["", numbers.to_string(float_format="{:+.4f}".format, na_rep="undefined")]
    say(as_json, {"scores": scores}, lines)


def _read(path: Path, wanted: list[str]) -> pd.DataFrame:
    """Read the cells of a prediction file as text, by id."""
    try:  # the header as a row, so that nothing of it is mended
        lines = pd.read_csv(path, header=None, dtype=str, na_filter=False, encoding="utf-8-sig")
    except ValueError as error:  # pandas' errors, and those of codecs
        raise ParamsError(f"{path} is no table in UTF-8 with commas: {error}") from error
    lines = lines.fillna("")  # lines that end early
    if (header := lines.iloc[0].tolist()) != wanted:
        said = f"columns {','.join(header)}: expected {','.join(wanted)}, in this order"
        raise ParamsError(f"{path} would be refused: it has the {said}")
    return lines[1:].set_axis(wanted, axis=1).set_index(FILE_ID)


def _some(found: Iterable[object]) -> str:
    texts = [repr(each) for each in found]
    return f"{len(texts)} ({', '.join(texts[:3])}{', ...' * (len(texts) > 3)})"


def _scores(y: NDArray[np.float64], predicted: pd.DataFrame) -> dict[str, Any]:
    from models import metrics

    scores: dict[str, Any] = {}
    for name in ("official_mean_pearson", "mean_pearson", "official_pearson", "pearson"):
        values = np.ravel(getattr(metrics, name)(y, predicted))
        defined = [float(each) if np.isfinite(each) else None for each in values]  # JSON's null
        scores[name] = defined[0] if "mean" in name else dict(zip(predicted, defined, strict=True))
    return scores
