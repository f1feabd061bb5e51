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
from pipeline.dialects import BLANK, to_numbers
from pipeline.findings import Findings
from pipeline.imports.columns import known_splits, split_by_person
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
    *,
    probe: bool = False,
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
    probe : bool
        Hash and probe the files too, in parallel with a progress bar.

    Returns
    -------
    labels : DataFrame
        ``clip_id, path`` (relative to the media; null where there are none at all), ``group`` and
        ``split``, the targets as float64, further columns, where decimal commas have become points.
        Only where no finding is an error may it be used.
    media : Path or None
        The folder of the media: `source.media`, or the deepest one below it that holds them all,
        where stages write in it too. None where there is none but those that stages wrote.

    Raises
    ------
    RefusedError
        When no column has splits and none are drawn; as `pipeline.imports.columns.split_by_person`.
    """
    targets = list(source.targets)
    labels, media = _with_media(source, findings)
    rows = "row " + pd.Series(np.arange(1, len(labels) + 1).astype(str), labels.index)
    done = "fill it, remove the rows, or name another column with --id"
    findings.error("rows without an id", rows[labels["clip_id"].isna()], done)
    labels["clip_id"] = labels["clip_id"].fillna(rows)
    repeated = labels.loc[labels.duplicated(), "clip_id"]
    findings.warn("rows twice the same", repeated, "one of them is kept")
    labels = labels.drop_duplicates(ignore_index=True)
    done = "make every id unique: of several raters or frames take the mean, of targets columns"
    twice = labels.loc[labels["clip_id"].duplicated(), "clip_id"].unique()
    findings.error("duplicate ids with different rows", twice, done)
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
        done = "kept: scores then leak identity; --split-by-person makes new splits"
        findings.warn("people in several splits", people_across_splits(labels), done)
        alone = alone[labels["group"].isna()]
    done = "each counts as a person of its own; `people.source: faces` finds people by their faces"
    findings.warn("clips without a person", alone, done)
    if probe and media is not None:
        there = [pd.notna(path) and (media / path).is_file() for path in labels["path"]]
        if any(there):
            _probe(labels[there].reset_index(drop=True), media, findings)
    return labels, media


def _probe(clips: pd.DataFrame, media: Path, findings: Findings) -> None:
    """Look for unreadable files, missing streams, odd lengths and copies."""
    # By row: ids need not be unique yet, and two ids of one file are as bad as two copies.
    files = index_files({str(row): media / path for row, path in enumerate(clips["path"])})
    ids = clips["clip_id"].astype("string")
    bad = files["error_step"].notna()
    done = "kept: the index lists them, and stops beyond data.max_failed_share"
    findings.warn("unreadable files", (ids + ": " + files["error_reason"])[bad], done)
    for what, column in (("video", "has_video"), ("sound", "has_audio")):
        findings.warn(f"files without {what}", ids[~bad & ~files[column]], "kept")
    median_s = files["duration_s"].median()
    ratio = files["duration_s"] / median_s
    odd = (ratio > _MAX_LENGTH_RATIO) | (ratio < 1 / _MAX_LENGTH_RATIO)
    shown = ids + files["duration_s"].map(": {:.2f} s".format)
    findings.warn("durations out of line", shown[odd], f"kept; the median is {median_s:.2f} s")
    copies = [
        " = ".join(rows["clip_id"].astype(str))
        for _, rows in clips.groupby(files["sha256"].mask(bad), sort=False)
        if len(set(rows["split"])) > 1
    ]
    findings.warn("identical files in several splits", copies, "kept: scores then leak")


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
        done = f"taken for {source.media}, where stages write"
        findings.note("folder of the media", [] if holds_outputs(media) else [media], done)
    is_among = any(map(media.resolve().is_relative_to, own)) and listed.files
    if is_among or (holds_outputs(media) and found):
        done = "stages write there, so DVC refuses it: name a folder that holds the media alone"
        findings.error("folder of the media", [media], done)
    advice = "none was chosen: give the table a column with the path, or rename files"
    findings.add_matches(matches, "media", advice)
    beside = [f"{clip}: {', '.join(others)}" for clip, others in matches.beside.items()]
    findings.note("further files of a clip", beside, "not used: a clip is one file")
    if not holds_outputs(media):
        others = [path.name for path in listed.left_out if path.is_relative_to(media)]
        findings.note("other files", others, f"left out, no media by their names: {listed}")
    broken = [f"{path}, {why}" for path, why in listed.broken.items() if path.is_relative_to(media)]
    done = "DVC stops there, or waits for ever: remove them, or give read access"
    findings.error("media that cannot be read", broken, done)
    there = {} if address_of(media) else found
    pointers = [clip for clip, file in there.items() if is_lfs_pointer(media / file)]
    findings.error("media that are Git LFS pointers", pointers, LFS_ADVICE)
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
    found = findings.warn if few else findings.error
    done = "taken as blank" if few else "too many to take them as blank: mend or empty the cells"
    found(f"{target} that is no number", cells[wrong], done)
    codes = _are_codes(values, scale)
    values = np.where(codes, np.nan, values)
    finite = values[np.isfinite(values)]
    ends = _ends(finite) if len(np.unique(finite)) > 2 else ()
    far = [end for end in ends if _is_far(end, finite[finite != end], _MANY)]
    low, high = _ends(finite[~np.isin(finite, far)])
    said = f"taken as blank: all others lie between {low:g} and {high:g}"
    done = f"{said}. Where they are ratings, give the ends of the scale by --rescale low,high"
    findings.warn(f"{target} like a code for no answer", cells[codes], done)
    if scale == "seen":
        done = "no end of a scale: mend the cells, or give its ends with --rescale low,high"
        findings.error(f"{target} far off the rest", cells[np.isin(values, far)], done)
    if scale is not None:
        bottom, top = (low, high) if scale == "seen" else scale
        values = (values - bottom) / ((top - bottom) or 1.0)
    outside = cells[(values < 0) | (values > 1)]
    done = f"mend the cells, or give the ends of the raters' scale by --rescale {low:g},{high:g}"
    findings.error(f"{target} outside [0, 1]", outside, done)
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
    findings.warn("constant targets", flat, "kept: they cannot be learnt, nor scored")
    known = labels[targets].notna()
    some = known.any(axis=1) & ~known.all(axis=1)
    blank = [
        f"{clip}: {', '.join(known.columns[~is_known])}"
        for clip, is_known in zip(labels["clip_id"][some], known[some].to_numpy(), strict=True)
    ]
    findings.warn("clips with some labels blank", blank, "kept as unlabelled")
    for split in SPLITS:
        ids = labels.loc[(labels["split"] == split) & ~known.any(axis=1), "clip_id"]
        found = findings.note if split == "Test" else findings.warn
        found(f"{split} clips without labels", ids, "kept: not scored")
    train = known[labels["split"] == "Train"]
    never = [target for target in targets if not train[target].any()]
    findings.error("targets without a label in Train", never, "label clips, or leave them out")
