"""What every label table must be, whatever layout it came in: ids, splits, numbers, people."""

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.clip_table import people_across_splits
from pipeline.imports.collection import Collection
from pipeline.imports.columns import SPLIT_WORDS, to_numbers
from pipeline.imports.findings import Findings, Severity
from pipeline.labels import SPLITS

Scale = Literal["seen"] | tuple[float, float]
"""The two ends of the targets' scale; or `seen`, the range of each target's own labels."""


def check_labels(
    collection: Collection, findings: Findings, scale: Scale | None = None
) -> pd.DataFrame:
    """Bring a collection's labels into the form that `pipeline.labels` reads.

    Parameters
    ----------
    collection : Collection
        As it was read.
    findings : Findings
        What is noticed is added.
    scale : "seen" or (low, high), optional
        Rescale the targets from there to [0, 1].

    Returns
    -------
    DataFrame
        ``clip_id, path, split``, perhaps ``group``, the targets as float64, further columns, where
        decimal commas have become points. Only where no finding is an error may it be used.
    """
    labels = _check_ids(collection.labels, findings)
    labels["split"] = _check_splits(labels, findings)
    texts = ["clip_id", "path", "split", "group", "file_id"]
    for name in labels.columns.difference(texts, sort=False):
        values, wrong = to_numbers(labels[name])
        if name in collection.targets:
            cells = (labels["clip_id"].astype("string") + ": " + labels[name])[wrong]
            findings.add(f"{name} that is no number", "error", cells, "mend the cells")
            labels[name] = _check_target(labels, name, values, scale, findings)
        elif labels[name].str.contains(",").any() and not wrong.any():
            labels[name] = values
    _check_labelled(labels, list(collection.targets), findings)
    _check_people(labels, findings)
    return labels


def _check_ids(labels: pd.DataFrame, findings: Findings) -> pd.DataFrame:
    no_id = labels["clip_id"].isna()
    rows = [f"row {n + 1}" for n in np.flatnonzero(no_id)]
    findings.add("rows without an id", "error", rows, "refused")
    repeated = labels.duplicated() & ~no_id
    ids = labels.loc[repeated, "clip_id"]
    findings.add("rows twice the same", "warning", ids, "one of them is kept")
    labels = labels[~repeated].reset_index(drop=True)
    ids = labels["clip_id"].dropna()
    duplicate = ids[ids.duplicated()].drop_duplicates()
    findings.add("duplicate ids with different rows", "error", duplicate, "make every id unique")
    return labels


def _check_splits(labels: pd.DataFrame, findings: Findings) -> "pd.Series[str]":
    given = labels["split"].astype("string")
    split = given.str.casefold().map(SPLIT_WORDS).astype("string")
    wrong = labels["clip_id"].astype("string") + ": " + given.fillna("blank")
    done = f"expected {', '.join(SPLITS)}, or train/devel/test"
    findings.add("splits that are none", "error", wrong[split.isna()], done)
    empty = [name for name in SPLITS if not (split == name).any()]
    findings.add("splits without clips", "warning", empty, "nothing will be scored there")
    return split


def _check_target(
    labels: pd.DataFrame,
    target: str,
    values: NDArray[np.float64],
    scale: Scale | None,
    findings: Findings,
) -> NDArray[np.float64]:
    """Return a target's values in [0, 1]."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    if scale is not None:
        bottom, top = (low, high) if scale == "seen" else scale
        values = (values - bottom) / ((top - bottom) or 1.0)
    outside = labels.loc[(values < 0) | (values > 1), "clip_id"]
    done = (
        f"it spans {low:g} to {high:g}: mend the cells, or use `eri import table` with the ends of "
        f"the scale, such as --rescale {low:g},{high:g}"
    )
    findings.add(f"{target} outside [0, 1]", "error", outside, done)
    return values


def _check_labelled(labels: pd.DataFrame, targets: list[str], findings: Findings) -> None:
    """Look for constant targets, and for clips and targets without labels."""
    flat = []
    for split, rows in labels.groupby("split")[targets]:
        low, high = rows.min(), rows.max()
        constant = low.index[(low == high) & (rows.count() > 1)]
        flat += [f"{target} = {low[target]:g} on {split}" for target in constant]
    done = "kept: on Train it cannot be learnt, elsewhere its Pearson correlation is not defined"
    findings.add("constant targets", "warning", flat, done)
    known = labels[targets].notna()
    some = known.any(axis=1) & ~known.all(axis=1)
    ids = labels.loc[some, "clip_id"]
    findings.add("clips with some labels blank", "warning", ids, "kept as unlabelled")
    for split in SPLITS:
        ids = labels.loc[(labels["split"] == split) & ~known.any(axis=1), "clip_id"]
        severity: Severity = "note" if split == "Test" else "warning"
        done = "kept as unlabelled: predicted, but not scored"
        findings.add(f"{split} clips without labels", severity, ids, done)
    train = known[labels["split"] == "Train"]
    never = [target for target in targets if not train[target].any()]
    done = "nothing could be fitted: leave them out, or label clips of Train"
    findings.add("targets without a label in Train", "error", never, done)


def _check_people(labels: pd.DataFrame, findings: Findings) -> None:
    alone = labels["clip_id"]
    if "group" in labels:
        done = "kept: scores on Val and Test then leak identity; --split-by-person makes new splits"
        findings.add("people in several splits", "warning", people_across_splits(labels), done)
        alone = alone[labels["group"].isna()]
    done = (
        "each counts as a person of its own, so folds, and splits drawn by person, may part "
        "people: `people.source: faces` in params.yaml finds people by their faces"
    )
    findings.add("clips without a person", "warning", alone, done)
