"""What every label table must be, whatever layout it came in: ids, splits, numbers, people."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd

from pipeline.clip_table import people_across_splits
from pipeline.imports.collection import Collection
from pipeline.imports.findings import Findings, Severity
from pipeline.imports.reading import has_decimal_commas, to_numbers
from pipeline.labels import MADE_BY_INDEX, SPLITS

Scale = Literal["seen"] | tuple[float, float]
"""The two ends of the targets' scale; or `seen`, the range of each target's own labels."""

SPLIT_WORDS: Mapping[str, str] = {
    **dict.fromkeys(["train", "training", "tr"], "Train"),
    **dict.fromkeys(["val", "valid", "validation", "dev", "devel", "development"], "Val"),
    **dict.fromkeys(["test", "testing", "te"], "Test"),
}


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
        ``clip_id, path, split``, perhaps ``group``, the targets as float64, further columns. Only
        where no finding is an error may it be used.
    """
    labels = _check_ids(collection.labels, findings)
    labels["split"] = _check_splits(labels, findings)
    decimal_commas = [
        str(name)
        for name in labels
        if name not in ("clip_id", "path", "split", "group", "file_id")
        and has_decimal_commas(labels[name])
    ]
    findings.add("columns with decimal commas", "note", decimal_commas, "read as decimal points")
    for name in set(decimal_commas).difference(collection.targets):
        numbers, wrong = to_numbers(labels[name])
        labels[name] = labels[name] if wrong.any() else numbers
    for target in collection.targets:
        labels[target] = _check_target(labels, target, scale, findings)
    _check_constant(labels, collection.targets, findings)
    _check_labelled(labels, list(collection.targets), findings)
    _check_people(labels, findings)
    return _in_order(labels, collection.targets, findings)


def _check_ids(labels: pd.DataFrame, findings: Findings) -> pd.DataFrame:
    no_id = labels["clip_id"].isna()
    findings.add(
        "rows without an id", "error", [f"row {n + 1}" for n in np.flatnonzero(no_id)], "refused"
    )
    repeated = labels.duplicated() & ~no_id
    findings.add(
        "rows twice the same", "warning", labels.loc[repeated, "clip_id"], "one of them is kept"
    )
    labels = labels[~repeated].reset_index(drop=True)
    ids = labels["clip_id"].dropna()
    duplicate = ids[ids.duplicated()].drop_duplicates()
    findings.add("duplicate ids with different rows", "error", duplicate, "make every id unique")
    return labels


def _check_splits(labels: pd.DataFrame, findings: Findings) -> "pd.Series[str]":
    given = labels["split"].astype("string")
    split = given.str.casefold().map(SPLIT_WORDS).astype("string")
    unknown = [
        f"{c}: {'blank' if pd.isna(s) else s}"
        for c, s in zip(labels["clip_id"], given, strict=True)
    ]
    wrong = [text for text, bad in zip(unknown, split.isna(), strict=True) if bad]
    findings.add(
        "splits that are none", "error", wrong, f"expected {', '.join(SPLITS)}, or train/devel/test"
    )
    spelt = given[split.notna() & (split != given)].drop_duplicates()
    findings.add("splits spelt otherwise", "note", spelt, "written as Train, Val, Test")
    empty = [name for name in SPLITS if not (split == name).any()]
    findings.add("splits without clips", "warning", empty, "nothing will be scored there")
    return split


def _check_target(
    labels: pd.DataFrame, target: str, scale: Scale | None, findings: Findings
) -> "pd.Series[float]":
    numbers, wrong = to_numbers(labels[target])
    rows = labels.loc[wrong, ["clip_id", target]].itertuples(index=False)
    findings.add(
        f"{target} that is no number", "error", [f"{c}: {v}" for c, v in rows], "mend the cells"
    )
    finite = numbers[np.isfinite(numbers)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    if scale is not None:
        bottom, top = (low, high) if scale == "seen" else scale
        numbers = (numbers - bottom) / ((top - bottom) or 1.0)
    outside = (numbers < 0) | (numbers > 1)
    ids = labels.loc[outside, "clip_id"]
    advice = "an end of --rescale is wrong" if scale else _rescale_advice(low, high)
    findings.add(
        f"{target} outside [0, 1]", "error", ids, f"it spans {low:g} to {high:g}: {advice}"
    )
    return numbers


def _check_constant(labels: pd.DataFrame, targets: tuple[str, ...], findings: Findings) -> None:
    flat = []
    for target in targets:
        for split, values in labels.groupby("split")[target]:
            known = values.dropna()
            if len(known) > 1 and known.min() == known.max():
                flat.append(f"{target} = {known.iloc[0]:g} on {split}")
    done = "kept: on Train it cannot be learnt, elsewhere its Pearson correlation is not defined"
    findings.add("constant targets", "warning", flat, done)


def _rescale_advice(low: float, high: float) -> str:
    return (
        "mend the cells, or use `eri import table` with the ends of the scale, such as "
        f"--rescale {low:g},{high:g}"
    )


def _check_labelled(labels: pd.DataFrame, targets: list[str], findings: Findings) -> None:
    known = labels[targets].notna()
    some = known.any(axis=1) & ~known.all(axis=1)
    findings.add(
        "clips with some labels blank", "warning", labels.loc[some, "clip_id"], "kept as unlabelled"
    )
    for split in SPLITS:
        here = labels["split"] == split
        ids = labels.loc[here & ~known.any(axis=1), "clip_id"]
        if not here.any() or ids.empty:
            continue
        if len(ids) < int(here.sum()):
            findings.add(f"{split} clips without labels", "warning", ids, "kept as unlabelled")
        elif split == "Train":
            findings.add("Train without labels", "error", ids, "nothing could be fitted")
        else:
            severity: Severity = "note" if split == "Test" else "warning"
            findings.add(f"{split} without labels", severity, ids, "predicted but not scored")
    train = known[labels["split"] == "Train"]
    if train.any(axis=None):
        never = [target for target in targets if not train[target].any()]
        findings.add("targets without a label in Train", "error", never, "leave them out")


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


def _in_order(labels: pd.DataFrame, targets: tuple[str, ...], findings: Findings) -> pd.DataFrame:
    taken = {str(name): f"{name}_given" for name in labels if name in MADE_BY_INDEX}
    findings.add("columns that the index makes", "note", taken, "kept under the name with _given")
    labels = labels.rename(columns=taken)
    roles = ["clip_id", "path", "split", *(["group"] if "group" in labels else []), *targets]
    return labels[roles + [str(name) for name in labels if name not in roles]]
