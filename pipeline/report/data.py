"""What the report says of the data: sizes, labels, warnings, and clips that lack something."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.metrics import constant_columns
from pipeline.clip_table import SPLITS, Rows, people_across_splits

MOST_ROWS = 50
"""Longer tables of clips are cut, and say so."""

_FEW_PEOPLE = 10
_MOST_KINDS = 10


def split_table(rows: Rows, imputed: pd.DataFrame) -> pd.DataFrame:
    """Describe every split that has clips, one row each; `imputed` is ``imputed.csv``."""
    flags = rows.clips.reindex(columns=["has_video", "has_audio"]).astype("boolean").fillna(False)
    length_s = rows.clips.reindex(columns=["duration_s"])["duration_s"].astype(float)
    lacking = imputed.astype({"all_missing": bool}).groupby("split")["all_missing"]
    described = [
        {
            "split": split,
            "clips": chosen.sum(),
            "labelled": np.isfinite(rows.y[chosen]).any(axis=1).sum(),
            "people": len(set(rows.people[chosen])),
            "hours": round(length_s[chosen].sum(min_count=1) / 3600, 2),
            "median s": round(length_s[chosen].median(), 1),
            "with video": flags["has_video"][chosen].sum(),
            "with sound": flags["has_audio"][chosen].sum(),
            "lacking some features": lacking.size().get(split, 0),
            "lacking all": lacking.sum().get(split, 0),
        }
        for split, chosen in _splits(rows)
    ]
    return pd.DataFrame(described).astype(object).fillna("")


def label_table(rows: Rows, targets: Sequence[str]) -> pd.DataFrame:
    """Describe the labels of every target on every split that has some, one row each."""
    described = []
    for column, target in enumerate(targets):
        for split, chosen in _splits(rows):
            values = pd.Series(rows.y[chosen, column]).dropna()
            if len(values):
                numbers = (values.mean(), values.std(ddof=0), values.min(), values.max())
                described.append((target, split, len(values), *(f"{each:.3f}" for each in numbers)))
    names = ["target", "split", "labelled", "mean", "SD", "least", "largest"]
    return pd.DataFrame(described, columns=names)


def data_warnings(rows: Rows, targets: Sequence[str]) -> list[str]:
    """Say what a reader has to know of the data before believing a score.

    People or files in several splits, targets that do not vary or have too few labels, and splits
    of few people.
    """
    clips, said = rows.clips, []
    if people := people_across_splits(clips):
        said.append(
            f"{len(people)} people have clips in several splits ({_some(people)}): scores may "
            "reward knowing the person"
        )
    files = clips.reindex(columns=["clip_id", "split", "sha256"]).replace("", None)
    n_splits = files.groupby("sha256")["split"].transform("nunique")
    if len(shared := files[n_splits > 1]):
        said.append(
            f"{len(shared)} clips are the same files in several splits "
            f"({_some(shared['clip_id'])}): their scores mean nothing"
        )
    names = np.array(targets, object)
    for split, chosen in _splits(rows):
        y, labelled = rows.y[chosen], np.isfinite(rows.y[chosen])
        few, constant = names[labelled.sum(axis=0) < 2], names[constant_columns(y, y)]
        if len(few) and labelled.any():
            said.append(f"{split}: fewer than two labels: {_some(few)}; there is no score of them")
        if len(constant):
            varying = "labels that do not vary"
            said.append(
                f"{split}: {varying}: {_some(constant)}; they count as a correlation of zero"
            )
        if 0 < (n := len(set(rows.people[chosen][labelled.any(axis=1)]))) < _FEW_PEOPLE:
            who = "person" if n == 1 else "people"
            said.append(f"{split} has labels of {n} {who} only: its intervals say little")
    return said


def people_sentences(record: Mapping[str, Any]) -> list[str]:
    """Say who the clips show, and how that is known, by what ``people.json`` holds."""
    if "n_people" not in record:
        return []
    by = f"faces ({record['encoder']})" if record["source"] == "faces" else "the label table"
    per = record["clips_per_person"]
    said = [
        f"{record['n_people']} people, by {by}; {per['min']:g} to {per['max']:g} clips of each, "
        f"half of them {per['median']:g} or fewer."
    ]
    if record.get("silhouette") is not None:
        said.append(f"Clusters of faces: silhouette {record['silhouette']:.2f}.")
    return said


def imputed_sentences(imputed: pd.DataFrame) -> list[str]:
    """Say in one line per split how many clips lack features; none where none does."""
    return [
        f"{split}: {len(part)} clips are predicted without the features of some encoder, "
        f"{int(part['all_missing'].astype(bool).sum())} of them without any"
        for split, part in imputed.groupby("split", sort=False)
    ]


def clip_lists(
    clips: pd.DataFrame, imputed: pd.DataFrame, failures: Mapping[str, pd.DataFrame]
) -> dict[str, tuple[int, str, pd.DataFrame]]:
    """List clips that lack features, files that cannot be used, and failures of each encoder.

    They stand in ``imputed.csv``, in the clip table, and in the failure tables, by encoder. Given
    by caption: how many clips, in words how many by kind, and the first `MOST_ROWS` as text.
    """
    unusable = clips.reindex(columns=["clip_id", "error_step", "error_reason"])
    unusable = unusable.set_axis(["clip_id", "step", "reason"], axis=1).dropna(subset="step")
    lacking = imputed.reindex(columns=["clip_id", "split", "missing", "reasons"])
    tables = {"Clips that lack features": lacking, "Files that cannot be used": unusable}
    tables |= {f"Clips without embedding by {name}": each for name, each in failures.items()}
    listed = {}
    for caption, table in tables.items():
        counts = table["missing" if table is lacking else "step"].astype(str).value_counts()
        said = "; ".join(f"{kind}: {n}" for kind, n in counts[:_MOST_KINDS].items())
        first = table.head(MOST_ROWS).astype("string").fillna("")
        listed[caption] = len(table), said + "; …" * (len(counts) > _MOST_KINDS), first
    return listed


def _splits(rows: Rows) -> list[tuple[str, NDArray[np.bool_]]]:
    found = [(split, (rows.clips["split"] == split).to_numpy(bool)) for split in SPLITS]
    return [(split, chosen) for split, chosen in found if chosen.any()]


def _some(names: Iterable[object]) -> str:
    listed = list(map(str, names))
    more = f" and {len(listed) - 3} more" if len(listed) > 3 else ""
    return ", ".join(listed[:3]) + more
