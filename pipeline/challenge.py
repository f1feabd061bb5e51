"""The challenge's prediction file: as a run writes it, and checked before it is handed in."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import typer
from numpy.typing import NDArray

from pipeline.clip_table import Rows, read_clip_table
from pipeline.params import ParamsError, load_params
from pipeline.paths import POOLED
from pipeline.terminal import Json, say
from pipeline.views import JOIN

FILE_ID = "File_ID"
"""The challenge's id column."""

IMPUTED_COLUMNS = ["clip_id", FILE_ID, "split", "missing", "all_missing", "reasons"]


def file_ids(clips: pd.DataFrame) -> "pd.Series[str]":
    """Return each clip's id as the challenge writes it: ``file_id`` of the clip table, or its id.

    The latter where that column is empty or not there.
    """
    ids = clips["clip_id"].astype(str)
    own = clips.reindex(columns=["file_id"])["file_id"].astype("string").fillna("")
    return ids.where((own == "").to_numpy(bool), own.astype(object))


def submission_table(
    predictions: NDArray[np.float64], clips: pd.DataFrame, targets: Sequence[str]
) -> pd.DataFrame:
    """Lay predictions (n_clips, n_targets) out in the challenge's format.

    Returns
    -------
    DataFrame
        ``File_ID``, then the targets in the challenge's order; one row per clip of Val and Test.

    Raises
    ------
    ParamsError
        When two of these clips have the same ``file_id``.
    """
    is_held = (clips["split"] != "Train").to_numpy(bool)
    table = pd.DataFrame(predictions[is_held], columns=list(targets))
    table.insert(0, FILE_ID, _told_apart(file_ids(clips)[is_held]).to_numpy(object))
    return table


def imputed_table(rows: Rows, failures: Mapping[str, Path]) -> pd.DataFrame:
    """List the clips that lack the features of an encoder.

    Parameters
    ----------
    rows : Rows
        All clips.
    failures : mapping of str to Path
        By encoder or imported store, its failure table, which gives the reasons.

    Returns
    -------
    DataFrame
        `IMPUTED_COLUMNS`, in the order of `rows`. ``missing`` joins encoders by ``+``;
        ``all_missing`` says that nothing was left to predict from, so that the prediction is that
        of a mean clip; ``reasons`` gives ``encoder: step: reason``, joined by semicolons.
    """
    reasons: dict[str, dict[str, str]] = {clip_id: {} for clip_id in rows.clip_ids}
    for encoder, path in sorted(failures.items()):  # as in views: no order of keys matters
        known = pq.read_table(POOLED / f"{encoder}.parquet", columns=["clip_id"])["clip_id"]
        said = {}
        if path.is_file():  # not of features that came from elsewhere
            failed = pd.read_parquet(path).astype(str).set_index("clip_id")
            said = (failed["step"] + ": " + failed["reason"]).to_dict()
        for clip_id in set(reasons).difference(known.to_pylist()):
            reasons[clip_id][encoder] = said.get(clip_id, "no features")
    found = list(reasons.values())
    table = rows.clips[["clip_id", "split"]].assign(
        **{FILE_ID: file_ids(rows.clips)},
        missing=[JOIN.join(each) for each in found],
        all_missing=[len(each) == len(failures) for each in found],
        reasons=["; ".join(f"{name}: {why}" for name, why in each.items()) for each in found],
    )
    return table.loc[table["missing"] != "", IMPUTED_COLUMNS]


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
    expected = expected.set_index(pd.Index(_told_apart(file_ids(expected))))
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


def _told_apart(ids: "pd.Series[str]") -> "pd.Series[str]":
    """Return the challenge's ids of some clips, which must differ."""
    repeated = ids[ids.duplicated()].unique()
    if len(repeated):
        raise ParamsError(
            f"{len(repeated)} values of `file_id` belong to several clips, such as "
            f"{', '.join(map(repr, repeated[:3]))}: expected one of its own for each; correct the "
            "label table"
        )
    return ids


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
