"""What every label table must be, whatever its layout: media, ids, splits, numbers, people."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.extraction.index import index_files
from features.files import is_lfs_pointer
from features.media.endings import list_media_folder
from features.places import address_of
from pipeline.clip_ids import clean_path, match_files, shortest_names
from pipeline.clip_table import SPLITS, people_across_splits, person_of
from pipeline.findings import Findings, Severity
from pipeline.imports.columns import BLANK, known_splits, split_by_person, to_numbers
from pipeline.paths import OUTPUTS, holds_outputs
from pipeline.reading import LFS_ADVICE

Scale = Literal["seen"] | tuple[float, float]
"""The two ends of the targets' scale; or `seen`, the range of each target's own labels."""

_TEXTS = ["clip_id", "path", "split", "group", "file_id"]
_MAX_LENGTH_RATIO = 4.0
# What studies write where nobody answered, such as -1, 88, -999 and 99.99.
_CODE = re.compile(r"-[15-9]|-?(([6-9])\2+|9+\.9+)")
_MANY = 10


@dataclass(frozen=True)
class LabelSource:
    """Labels as they were found, before anything is checked.

    Attributes
    ----------
    table : DataFrame
        A row per clip, all text: ``clip_id`` (without it, a clip is called as its file), ``path``
        (without it, files are found by the clips' ids), ``split`` and ``group`` where known, the
        targets, further columns.
    targets : tuple of str
        The columns with targets.
    media : Path
        The folder of the media.
    feature_sets : mapping of str to Path
        Folders of precomputed features by name.
    slices : tuple of str
        Further columns to score by.
    """

    table: pd.DataFrame
    targets: tuple[str, ...]
    media: Path
    feature_sets: Mapping[str, Path] = field(default_factory=dict)
    slices: tuple[str, ...] = ()


def labelled_clips(
    source: LabelSource,
    findings: Findings,
    scale: Scale | None = None,
    shares: Sequence[float] | None = None,
    seed: int = 0,
) -> tuple[pd.DataFrame, Path | None]:
    """Find the media of labels, and bring both into the form that `pipeline.clip_table` reads.

    Parameters
    ----------
    source : LabelSource
        As it was read.
    findings : Findings
        What is noticed is added.
    scale : "seen" or (low, high), optional
        Rescale the targets from there to [0, 1].
    shares, seed : sequence of float, int, optional
        Draw new splits; see `pipeline.imports.columns.split_by_person`.

    Returns
    -------
    labels : DataFrame
        ``clip_id, path`` (relative to the media; null where there are none at all), ``group`` and
        ``split``, the targets as float64, further columns, where decimal commas have become points.
        Only where no finding is an error may it be used.
    media : Path or None
        The folder of the media: `source.media`, or the deepest one below it that holds them all,
        where the outputs of the stages lie in it too. None where it would hold no media but those.

    Raises
    ------
    RefusedError
        When no column has splits and none are drawn; as `pipeline.imports.columns.split_by_person`.
    """
    targets = list(source.targets)
    labels, media = _with_media(source, findings)
    no_id = labels["clip_id"].isna()
    rows = [f"row {n + 1}" for n in np.flatnonzero(no_id)]
    done = "fill it, remove the rows, or name another column with --id"
    findings.add("rows without an id", "error", rows, done)
    labels.loc[no_id, "clip_id"] = rows
    repeated = labels.duplicated()
    done = "one of them is kept"
    findings.add("rows twice the same", "warning", labels.loc[repeated, "clip_id"], done)
    labels = labels[~repeated].reset_index(drop=True)
    done = (
        "make every id unique: of several raters, takes or frames keep one row, or average them; "
        "of a row per clip and target make a column per target"
    )
    twice = labels.loc[labels["clip_id"].duplicated(), "clip_id"].unique()
    findings.add("duplicate ids with different rows", "error", twice, done)
    if "group" in labels:
        labels["group"] = labels["group"].mask(labels["group"].str.fullmatch(BLANK, na=True))
    if shares is not None:
        people = person_of(labels if "group" in labels else labels.assign(group=None))
        labels["split"] = split_by_person(people.fillna(""), shares, seed)
    else:
        labels["split"] = known_splits(labels, findings)
    for name in labels.columns.difference(_TEXTS, sort=False):
        values, wrong = to_numbers(labels[name])
        if name in targets:
            labels[name] = _check_target(labels, name, values, wrong, scale, findings)
        elif labels[name].str.contains(",").any() and not wrong.any():
            labels[name] = values
    _check_labelled(labels, targets, findings)
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
    return labels, media


def probe_files(labels: pd.DataFrame, media: Path, findings: Findings) -> None:
    """Hash and probe the files that are there, in parallel with a progress bar.

    Parameters
    ----------
    labels : DataFrame
        ``clip_id, path, split``.
    media : Path
        The folder of the media.
    findings : Findings
        What they show is added: unreadable files, missing streams, odd lengths, copies.
    """
    clips = labels[labels["path"].notna()]
    there = [(media / path).is_file() for path in clips["path"]]
    clips = clips[there].reset_index(drop=True)
    if clips.empty:
        return
    # By row: ids need not be unique yet, and two ids of one file are as bad as two copies.
    files = index_files({str(row): media / path for row, path in enumerate(clips["path"])})
    ids = clips["clip_id"].astype("string")
    bad = files["error_step"].notna()
    done = "kept: the index lists them, and stops beyond data.max_failed_share"
    findings.add("unreadable files", "warning", (ids + ": " + files["error_reason"])[bad], done)
    done = "kept: predicted from what else is in them"
    findings.add("files without video", "warning", ids[~bad & ~files["has_video"]], done)
    findings.add("files without sound", "warning", ids[~bad & ~files["has_audio"]], done)
    median_s = files["duration_s"].median()
    ratio = files["duration_s"] / median_s
    odd = (ratio > _MAX_LENGTH_RATIO) | (ratio < 1 / _MAX_LENGTH_RATIO)
    shown = ids + files["duration_s"].map(": {:.2f} s".format)
    done = f"kept; the median is {median_s:.2f} s, and these are 4 times longer or shorter"
    findings.add("durations out of line", "warning", shown[odd], done)
    copies = [
        " = ".join(rows["clip_id"].astype(str))
        for _, rows in clips.groupby(files["sha256"].mask(bad), sort=False)
        if len(set(rows["split"])) > 1
    ]
    done = "kept: scores on Val and Test then leak"
    findings.add("identical files in several splits", "warning", copies, done)


def _with_media(source: LabelSource, findings: Findings) -> tuple[pd.DataFrame, Path | None]:
    """Find each clip's file; put ids, paths, people, splits and targets first."""
    table, media = source.table, source.media
    own = [each.resolve() for each in (*OUTPUTS, *source.feature_sets.values())]
    listed = list_media_folder(media)
    files = [
        each.relative_to(media).as_posix()
        for each in listed.files
        if not any(map(each.resolve().is_relative_to, own))
    ]
    wanted = table["path" if "path" in table else "clip_id"].map(clean_path, "ignore")
    paths = {path: PurePosixPath(path) for path in wanted.dropna()}
    names = {path: [p.stem, p.with_suffix("").as_posix(), path] for path, p in paths.items()}
    ids = table["clip_id"] if "clip_id" in table else wanted.map(shortest_names(names), "ignore")
    wanted = wanted.fillna(ids)
    # Ids that several paths have are refused later; until then each path counts.
    keys = ids.where(wanted.groupby(ids).transform("nunique") < 2, wanted)
    matches = match_files(dict(zip(keys[ids.notna()], wanted[ids.notna()], strict=True)), files)
    found, unknown = matches.found, matches.unknown
    if holds_outputs(media) and found:
        inner = os.path.commonpath([PurePosixPath(file).parent for file in found.values()])
        media /= inner
        found = {clip: os.path.relpath(file, inner) for clip, file in found.items()}
        unknown[:] = [file for file in unknown if PurePosixPath(file).is_relative_to(inner)]
        done = f"taken for {source.media}, where the outputs of the stages lie too"
        findings.add("folder of the media", "note", [] if holds_outputs(media) else [media], done)
    among = any(map(media.resolve().is_relative_to, own)) and listed.files
    if among or (found and holds_outputs(media)):
        done = "stages write there, so DVC refuses it: move the media to a folder of their own"
        findings.add("folder of the media", "error", [media], done)
    advice = "none was chosen: give the table a column with the path, or rename files"
    findings.add_matches(matches, "media", advice)
    beside = [f"{clip}: {', '.join(others)}" for clip, others in matches.beside.items()]
    done = "not used: a clip is one file, and a video's own sound is read"
    findings.add("further files of a clip", "note", beside, done)
    others = [path.name for path in listed.left_out if path.is_relative_to(media)]
    done = f"left out, no media by their names: {listed}"
    findings.add("other files", "note", [] if holds_outputs(media) else others, done)
    broken = [f"{path}, {why}" for path, why in listed.broken.items() if path.is_relative_to(media)]
    done = "DVC stops there, or waits for ever: remove them, or give read access"
    findings.add("media that cannot be read", "error", broken, done)
    there = {} if address_of(media) else found
    pointers = [clip for clip, file in there.items() if is_lfs_pointer(media / file)]
    findings.add("media that are Git LFS pointers", "error", pointers, LFS_ADVICE)
    file = keys.map(found.get, "ignore").astype("string").fillna(wanted) if files else None
    labels = table.assign(clip_id=ids, path=file)
    first = [name for name in ("clip_id", "path", "group", "split") if name in labels]
    first += source.targets
    labels = labels[[*first, *labels.columns.difference(first, sort=False)]]
    return labels, None if holds_outputs(media) else media


def _check_target(
    labels: pd.DataFrame,
    target: str,
    values: NDArray[np.float64],
    wrong: NDArray[np.bool_],
    scale: Scale | None,
    findings: Findings,
) -> NDArray[np.float64]:
    """Return a target's values in [0, 1]."""
    cells = labels["clip_id"].astype("string") + ": " + labels[target].astype("string")
    few = wrong.sum() <= max(1, np.isfinite(values).sum() / 10)
    done = "taken as blank: mend the cells if they are not"
    done = done if few else "too many to take them as blank: mend them, or leave them empty"
    findings.add(f"{target} that is no number", "warning" if few else "error", cells[wrong], done)
    codes = _are_codes(values, scale)
    values = np.where(codes, np.nan, values)
    finite = values[np.isfinite(values)]
    ends = _ends(finite) if len(np.unique(finite)) > 2 else ()
    far = [end for end in ends if _is_far(end, finite[finite != end], _MANY)]
    low, high = _ends(finite[~np.isin(finite, far)])
    done = (
        f"taken as blank: all others lie between {low:g} and {high:g}. Where they are ratings, say "
        "so with the ends of the scale, --rescale low,high"
    )
    findings.add(f"{target} like a code for no answer", "warning", cells[codes], done)
    if scale == "seen":
        done = "no end of a scale: mend the cells, or give its ends with --rescale low,high"
        findings.add(f"{target} far off the rest", "error", cells[np.isin(values, far)], done)
    if scale is not None:
        bottom, top = (low, high) if scale == "seen" else scale
        values = (values - bottom) / ((top - bottom) or 1.0)
    outside = cells[(values < 0) | (values > 1)]
    done = (
        f"it spans {low:g} to {high:g}: mend the cells, or use `eri import table` with the ends "
        f"of the raters' scale: --rescale {low:g},{high:g} where these are they"
    )
    findings.add(f"{target} outside [0, 1]", "error", outside, done)
    return values


def _are_codes(values: NDArray[np.float64], scale: Scale | None) -> NDArray[np.bool_]:
    """Mark what stands for no answer: off the scale, far off the rest, or negative alone."""
    codes = np.array([_CODE.fullmatch(f"{value:.10g}") is not None for value in values], bool)
    if isinstance(scale, tuple):
        return codes & ((values < scale[0]) | (values > scale[1]))
    rest, below = values[np.isfinite(values) & ~codes], values[values < 0]
    if len(rest) and codes.any():
        is_whole = (rest == np.round(rest)).all() and rest.max() <= -below.min(initial=0)
        has_signs = rest.min() < 0 or (is_whole and np.isin(-below, values).all())
        times = 1 if len(rest) >= _MANY else _MANY
        far = [_is_far(value, rest, times) for value in values[codes]]
        codes[codes] = far | ((values[codes] < 0) & (not has_signs))
    return codes if len(rest) else np.zeros_like(codes)


def _is_far(value: float, rest: NDArray[np.float64], times: int) -> bool:
    """Whether a value is farther from the others, so many times, than these are from each other."""
    low, high = _ends(rest)
    return len(rest) > 0 and max(low - value, value - high) > times * (high - low)


def _ends(values: NDArray[np.float64]) -> tuple[float, float]:
    return (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)


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
    blank = [
        f"{clip}: {', '.join(known.columns[~is_known])}"
        for clip, is_known in zip(labels["clip_id"][some], known[some].to_numpy(), strict=True)
    ]
    findings.add("clips with some labels blank", "warning", blank, "kept as unlabelled")
    for split in SPLITS:
        ids = labels.loc[(labels["split"] == split) & ~known.any(axis=1), "clip_id"]
        severity: Severity = "note" if split == "Test" else "warning"
        done = "kept as unlabelled: predicted, but not scored"
        findings.add(f"{split} clips without labels", severity, ids, done)
    train = known[labels["split"] == "Train"]
    never = [target for target in targets if not train[target].any()]
    done = "nothing could be fitted: leave them out, or label clips of Train"
    findings.add("targets without a label in Train", "error", never, done)
