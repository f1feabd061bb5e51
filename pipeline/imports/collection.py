"""What every layout of labels is turned into, and the media that belong to it."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pandas as pd

from pipeline.clip_ids import Matches
from pipeline.files import MEDIA_SUFFIXES
from pipeline.imports.findings import Findings


@dataclass(frozen=True)
class Collection:
    """Labelled clips as they were found, before anything is checked.

    Attributes
    ----------
    labels : DataFrame
        One row per clip, all text: ``clip_id``, ``path`` (relative to `media`; null where there is
        no media at all), ``split`` and targets as they are written there, perhaps ``group``, and
        further columns.
    targets : tuple of str
        The target columns, in order.
    media : Path
        The folder of the media.
    beside : mapping of str to list of str
        By clip id: further files of the clip, which are not used, such as a sound file.
    feature_sets : mapping of str to Path
        Folders of precomputed features by name.
    """

    labels: pd.DataFrame
    targets: tuple[str, ...]
    media: Path
    beside: Mapping[str, Sequence[str]] = field(default_factory=dict)
    feature_sets: Mapping[str, Path] = field(default_factory=dict)


def list_media(folder: Path) -> list[str]:
    """List the media files below a folder, relative to it and sorted; hidden ones left out."""
    found = []
    for place, _, names in os.walk(folder):
        below = Path(place).relative_to(folder)
        found += [
            (below / name).as_posix()
            for name in names
            if name[0] != "." and PurePosixPath(name).suffix.lower() in MEDIA_SUFFIXES
        ]
    return sorted(found)


def report_matches(matches: Matches, has_media: bool, findings: Findings) -> None:
    """Note what differs between ids and files, and what has no counterpart."""
    for what, found in matches.differing.items():
        pairs = [f"{clip} -> {file}" for clip, file in found.items()]
        done = "taken as the same clip"
        findings.add(f"ids and files differ by {what}", "warning", pairs, done)
    beside = [f"{clip}: {', '.join(files)}" for clip, files in matches.beside.items()]
    done = "not used: a clip is one file, and a video's own sound is read"
    findings.add("further files of a clip", "note", beside, done)
    unclear = [f"{clip}: {' or '.join(files)}" for clip, files in matches.ambiguous.items()]
    done = "none was chosen: give the table a column with the path, or rename files"
    findings.add("several files fit an id, or several ids a file", "error", unclear, done)
    if has_media:
        done = "kept: the index lists them as unreadable, and predictions.csv as the training mean"
        findings.add("labels without media", "warning", matches.missing, done)
    else:
        done = "path is left empty: features must be imported"
        findings.add("no media at all", "warning", matches.missing, done)
    done = "left alone; they are no clips"
    findings.add("media without labels", "warning", matches.unknown, done)
