"""Labelled clips with their media: what every layout of labels is turned into."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pandas as pd

from features.media.endings import list_media_folder
from pipeline.clip_ids import clean_path, match_files, match_paths
from pipeline.imports.columns import LabelColumns
from pipeline.imports.findings import Findings
from pipeline.labels import MADE_BY_INDEX


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
    feature_sets : mapping of str to Path
        Folders of precomputed features by name.
    """

    labels: pd.DataFrame
    targets: tuple[str, ...]
    media: Path
    feature_sets: Mapping[str, Path] = field(default_factory=dict)


def list_media(folder: Path, findings: Findings) -> list[str]:
    """List the media files below a folder, relative to it and sorted; say what is left out."""
    found = list_media_folder(folder)
    why = f"left out, no media by their names: {found}"
    findings.add("other files", "note", (path.name for path in found.left_out), why)
    return [path.relative_to(folder).as_posix() for path in found.files]


def collect(
    table: pd.DataFrame,
    columns: LabelColumns,
    media: Path,
    files: Sequence[str],
    findings: Findings,
) -> Collection:
    """Find the media of the clips of a table.

    Parameters
    ----------
    table : DataFrame
        All text.
    columns : LabelColumns
        Which column is what. Without paths, files are found by the clips' ids; without ids, a clip
        is called as its file.
    media : Path
        A folder.
    files : sequence of str
        The media files below it.
    findings : Findings
        Takes what differs between ids and files, and what has no counterpart.
    """
    paths = None
    if columns.path is not None:
        paths = table[columns.path].map(clean_path, "ignore")
        stems = paths.map(lambda path: PurePosixPath(path).stem, "ignore")
    ids = table[columns.id] if columns.id is not None else stems
    pairs = zip(ids, ids if paths is None else paths.fillna(ids), strict=True)
    expected = {str(clip): str(path) for clip, path in pairs if pd.notna(clip)}
    matches = (match_files if paths is None else match_paths)(expected, files)
    advice = "none was chosen: give the table a column with the path, or rename files"
    findings.add_matches(matches, advice, "labels without media", "media without labels")
    beside = [f"{clip}: {', '.join(others)}" for clip, others in matches.beside.items()]
    done = "not used: a clip is one file, and a video's own sound is read"
    findings.add("further files of a clip", "note", beside, done)
    found_paths = [matches.found.get(c, expected.get(c)) if files else None for c in ids]
    labels = pd.DataFrame({"clip_id": ids, "path": found_paths}, index=table.index)
    if columns.person is not None:
        labels["group"] = table[columns.person]
    if columns.split is not None:
        labels["split"] = table[columns.split]
    labels = labels.join(table[list(columns.targets)])
    rest = table.drop(columns=columns.named())
    reserved = {*labels, *MADE_BY_INDEX}
    taken = {name: f"{name}_given" for name in rest if name in reserved}
    done = "kept under the name with _given"
    findings.add("columns whose names have another meaning here", "note", taken, done)
    labels = labels.join(rest.rename(columns=taken))
    return Collection(labels, columns.targets, media)
