"""Any table of labels beside any folder of media; columns are named, or guessed and shown."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from pipeline.files import MEDIA_SUFFIXES
from pipeline.imports.collection import Collection, collect, list_media
from pipeline.imports.columns import LabelColumns, guess_label_columns
from pipeline.imports.findings import Findings, RefusedError
from pipeline.imports.reading import read_text_table
from pipeline.imports.splitting import split_by_person


def read_any_table(
    path: Path,
    media: Path | None,
    columns: LabelColumns,
    findings: Findings,
    shares: Sequence[float] | None = None,
    seed: int = 0,
) -> Collection:
    """Read a label table and find the media of its clips.

    Parameters
    ----------
    path : Path
        CSV in any usual form, or Parquet.
    media : Path or None
        The folder of the media; None is the folder of the table.
    columns : LabelColumns
        What is known of the columns.
    findings : Findings
        What is noticed is added.
    shares : sequence of float, optional
        Shares of Train, Val and Test: draw new splits by person. A column with splits is then
        not used.
    seed : int
        Of that draw.

    Raises
    ------
    RefusedError
        For a column that is not there or cannot be guessed, or a media folder without media.
    """
    table = read_text_table(path, findings)
    chosen = _choose(table, columns, findings, path, need_split=shares is None)
    folder = path.parent if media is None else media
    files = list_media(folder)
    if media is not None and not files:
        what = "has no media files" if media.is_dir() else "is no folder"
        why = f"{media} {what}: expected some of {sorted(MEDIA_SUFFIXES)} in it"
        raise RefusedError("folders without media", [media], why)
    collection = collect(table, chosen, folder, files, findings)
    if shares is not None:
        labels = collection.labels
        people = "clip:" + labels["clip_id"].astype("string")
        if "group" in labels:
            people = labels["group"].astype("string").fillna(people)
        labels["split"] = split_by_person(people, shares, seed)
    return collection


def _choose(
    table: pd.DataFrame, given: LabelColumns, findings: Findings, path: Path, need_split: bool
) -> LabelColumns:
    """Find out which column is what; show what was guessed, refuse what is missing."""
    columns = list(table.columns)
    unknown = [name for name in given.named() if name not in columns]
    if unknown:
        why = f"{path} has no column(s) {unknown}; it has {columns}"
        raise RefusedError("missing columns", unknown, why)
    chosen = guess_label_columns(table, given)
    if not need_split:
        chosen = replace(chosen, split=None)
    lacking = {
        "id": not (chosen.id or chosen.path) and "an id or a path: name one with --id or --path",
        "split": need_split
        and not chosen.split
        and "train, val or test: name it with --split, or draw splits with --split-by-person",
        "targets": not chosen.targets and "a target: name them with --targets a,b,c",
    }
    for what, wanted in lacking.items():
        if wanted:
            why = f"no column of {path} looks like {wanted}; it has {columns}"
            raise RefusedError("missing columns", [what], why)
    done = "name them by --id, --path, --split, --person or --targets where that is wrong"
    for role in ("path", "id", "split", "person"):
        name = getattr(chosen, role)
        if name is not None and getattr(given, role) is None:
            findings.add("guessed", "note", [f"{role} = {name}"], done)
    if not given.targets:
        findings.add("guessed", "note", [f"targets = {','.join(chosen.targets)}"], done)
    return chosen
