"""Hume-Reaction as the ABAW5 challenge distributes it."""

from pathlib import Path, PurePosixPath

import pandas as pd

from pipeline.imports.checks import SPLIT_WORDS
from pipeline.imports.collection import (
    HUME_TARGETS,
    Collection,
    bare_ids,
    find_column,
    kept_columns,
    wrong_folder,
)
from pipeline.imports.findings import Findings
from pipeline.imports.matching import (
    Matches,
    is_sound,
    list_media,
    match_files,
    report_matches,
)
from pipeline.imports.reading import read_table, to_numbers

LAYOUT = "data_info.csv beside train/mp4, train/wav, likewise val and test (ABAW5)"
_RELEASED = {"Train": 15_806, "Val": 4_657, "Test": 4_604}
_COUNTRIES = ("United States", "South Africa")
_HINTS = {
    "*/data_info.csv": "Use {folder}",
    "../data_info.csv": "Use the folder above it",
    "c2_muse_reaction": "This looks like MuSe 2022: eri import muse {folder}",
    "labels.csv": "This looks like MuSe 2022: eri import muse {folder}",
}


def read_hume(root: Path, findings: Findings) -> Collection:
    """Read ``data_info.csv`` and find the media.

    A clip's file is its mp4, or its wav where there is only that. Ids lose their brackets;
    ``file_id`` keeps them as the challenge writes them. Age and country are kept.

    Raises
    ------
    RefusedError
        When the folder has another layout.
    """
    path = root / "data_info.csv"
    if not path.is_file():
        raise wrong_folder(root, LAYOUT, _HINTS)
    table = read_table(path, findings)
    hint = "; for other columns there is `eri import table`"
    id_column, split_column = (find_column(table, n, path, hint) for n in ("File_ID", "Split"))
    columns = {target: find_column(table, target, path, hint) for target in HUME_TARGETS}
    labels = pd.DataFrame({"clip_id": bare_ids(table[id_column], findings)})
    labels["split"] = table[split_column]
    for target, column in columns.items():
        labels[target] = table[column]
    rest = kept_columns(table, [id_column, split_column, *columns.values()])
    labels = labels.join(rest).assign(file_id=table[id_column])
    splits = labels["split"].str.casefold().map(SPLIT_WORDS)
    files = list_media(root)
    matches = _match(labels["clip_id"], splits, files, findings)
    names = list(labels["clip_id"].dropna().unique())
    report_matches(matches, names, files, findings)
    labels["path"] = [
        matches.file_of.get(clip, f"{str(split).lower()}/mp4/{clip}.mp4") if files else None
        for clip, split in zip(labels["clip_id"], splits, strict=True)
    ]
    _check_release(labels, splits, findings)
    return Collection(labels, HUME_TARGETS, root, matches.sound_beside)


def _match(
    ids: "pd.Series[str]", splits: "pd.Series[str]", files: list[str], findings: Findings
) -> Matches:
    """Match every split with its own folder, then what is left with what is left."""
    matches = Matches()
    folders = pd.Series(
        [SPLIT_WORDS.get(PurePosixPath(file).parts[0].casefold()) for file in files], dtype="string"
    )
    for split in dict.fromkeys(splits.dropna()):
        own = [file for file, folder in zip(files, folders == split, strict=True) if folder]
        names = {clip: clip for clip in ids[(splits == split).fillna(False)].dropna()}
        matches.add(match_files(names, own))
    known = matches.file_of.keys() | matches.ambiguous.keys()
    left = {clip: clip for clip in ids.dropna() if clip not in known}
    elsewhere = match_files(left, set(files) - matches.claimed)
    findings.add(
        "media in the folder of another split",
        "warning",
        [f"{clip} -> {file}" for clip, file in elsewhere.file_of.items()],
        "used; the split is that of data_info.csv",
    )
    matches.add(elsewhere)
    sound = [clip for clip, file in matches.file_of.items() if is_sound(file)]
    findings.add("clips with a wav but no mp4", "warning", sound, "the wav is the clip")
    return matches


def _check_release(labels: pd.DataFrame, splits: "pd.Series[str]", findings: Findings) -> None:
    """Compare with what is known of the release."""
    counts = {split: int((splits == split).sum()) for split in _RELEASED}
    differ = [f"{s}: {n} instead of {_RELEASED[s]}" for s, n in counts.items() if n != _RELEASED[s]]
    findings.add("other numbers of clips than were released", "note", differ, "taken as they are")
    values = labels[list(HUME_TARGETS)].apply(lambda column: to_numbers(column)[0])
    labelled = values.notna().any(axis=1)
    odd = labelled & ((values.max(axis=1) - 1).abs() > 1e-6)
    findings.add(
        "labelled clips whose largest label is not 1",
        "warning",
        labels.loc[odd, "clip_id"],
        "kept; in the release every clip is divided by its largest label",
    )
    ids = labels["clip_id"]
    if "age" in labels:
        ages, wrong = to_numbers(labels["age"])
        shown = ids + ": " + labels["age"]
        strange = wrong | (ages < 0) | (ages > 120)
        findings.add("odd ages", "warning", shown[strange], "kept as they are")
        findings.add("ages with fractions", "note", shown[~strange & (ages % 1 > 0)], "kept")
    if "country" in labels:
        other = labels["country"].notna() & ~labels["country"].isin(_COUNTRIES)
        shown = ids[other] + ": " + labels.loc[other, "country"]
        done = f"kept; the release has {' and '.join(_COUNTRIES)}"
        findings.add("other countries than were released", "note", shown, done)
