"""Any table of labels beside any folder of media; columns are named, or guessed and shown."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from features.media.endings import MEDIA_SUFFIXES
from pipeline.imports.collection import Collection, collect, list_media
from pipeline.imports.columns import LabelColumns, guess_label_columns
from pipeline.imports.findings import Findings, RefusedError
from pipeline.imports.reading import read_text_table
from pipeline.labels import SPLITS, person_of


def read_any_table(
    path: Path,
    media: Path | None,
    columns: LabelColumns,
    shares: Sequence[float] | None,
    seed: int,
    findings: Findings,
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
    shares : sequence of float or None
        Shares of Train, Val and Test: draw new splits by person. A column with splits is then
        not used.
    seed : int
        Of that draw.
    findings : Findings
        What is noticed is added.

    Raises
    ------
    RefusedError
        For a column that is not there or cannot be guessed, or a media folder without media.
    """
    table = read_text_table(path, findings)
    chosen = _choose(table, columns, findings, path, need_split=shares is None)
    folder = path.parent if media is None else media
    files = list_media(folder, findings)
    if media is not None and not files:
        what = "has no media files" if media.is_dir() else "is no folder"
        why = f"{media} {what}: expected some of {sorted(MEDIA_SUFFIXES)} in it"
        raise RefusedError("folders without media", [media], why)
    collection = collect(table, chosen, folder, files, findings)
    if shares is not None:
        labels = collection.labels
        people = person_of(labels if "group" in labels else labels.assign(group=None))
        labels["split"] = split_by_person(people, shares, seed)
    return collection


def split_by_person(people: "pd.Series[str]", shares: Sequence[float], seed: int) -> list[str]:
    """Draw a split for every clip, all clips of a person the same.

    People are shuffled; each goes to the split that lacks most of its share of the clips, and the
    splits that have nobody yet come first when people run out. The result depends on the people,
    their numbers of clips and the seed, not on the order of the rows.

    Parameters
    ----------
    people : Series of str
        The person of each clip.
    shares : sequence of float
        Shares of the clips for Train, Val and Test; they sum to 1.
    seed : int
        Of the shuffle.

    Raises
    ------
    RefusedError
        When the shares are none, or there are fewer people than splits.
    """
    wanted = np.array(shares, float)
    if len(wanted) != len(SPLITS) or (wanted < 0).any() or not np.isclose(wanted.sum(), 1):
        why = "expected three shares for Train, Val and Test that sum to 1, such as 0.7,0.15,0.15"
        raise RefusedError("shares that are none", list(shares), f"{why}; got {list(shares)}")
    sizes = people.value_counts().sort_index()
    n_splits = np.count_nonzero(wanted)
    if len(sizes) < n_splits:
        why = f"{len(sizes)} people cannot be in {n_splits} splits: name fewer splits"
        raise RefusedError("too few people", sizes.index, why)
    order = np.random.default_rng(seed).permutation(len(sizes))
    filled = np.zeros(len(SPLITS))
    split_of = {}
    for n_done, person in enumerate(order):
        empty = (filled == 0) & (wanted > 0)
        may = empty if len(order) - n_done <= empty.sum() else wanted > 0
        split = int(np.argmax(np.where(may, wanted * len(people) - filled, -np.inf)))
        filled[split] += sizes.iloc[person]
        split_of[sizes.index[person]] = SPLITS[split]
    return [split_of[person] for person in people]


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
    lacking = []
    if not (chosen.id or chosen.path):
        lacking.append("an id or a path: name one with --id or --path")
    if need_split and not chosen.split:
        how = "name it with --split, or draw splits with --split-by-person"
        lacking.append(f"train, val or test: {how}")
    if not chosen.targets:
        lacking.append("a target: name them with --targets a,b,c")
    if lacking:
        why = f"no column of {path} looks like {lacking[0]}; it has {columns}"
        raise RefusedError("missing columns", [path], why)
    done = "name them by --id, --path, --split, --person or --targets where that is wrong"
    for role in ("path", "id", "split", "person", "targets"):
        found = getattr(chosen, role)
        if found and not getattr(given, role):
            shown = found if role != "targets" else ",".join(found)
            findings.add("guessed", "note", [f"{role} = {shown}"], done)
    return chosen
