"""CREMA-D as its repository has it: acted sentences, rated from voice, from face and from both."""

from pathlib import Path
from typing import Literal

import pandas as pd

from features.media.endings import list_media_folder
from pipeline.findings import Findings, RefusedError
from pipeline.imports.clips import LabelSource
from pipeline.imports.layouts import check_layout
from pipeline.imports.reading import (
    check_columns,
    is_lfs_pointer,
    open_table,
    read_text_table,
)

Ratings = Literal["voice", "face", "both"]

CREMAD_TARGETS = ("Anger", "Disgust", "Fear", "Happy", "Sad", "Intensity")

# What raters had before them: the first digit of its rows, and the folder that holds it.
_SOURCES = {"voice": ("1", "AudioWAV"), "face": ("2", "VideoFlash"), "both": ("3", "VideoFlash")}
_VOTES = "processedResults/tabulatedVotes.csv"
_ACTORS = "VideoDemographics.csv"
_LAYOUT = f"{_ACTORS}, {_VOTES} and AudioWAV/ or VideoFlash/, as in a clone of CREMA-D"


def read_cremad(root: Path, ratings: Ratings, findings: Findings) -> LabelSource:
    """Read the ratings of CREMA-D, its actors, and where the clips are that were rated.

    Raters chose one emotion, or neutral, and its level from 0 to 100. Each target is the mean of
    that level over all raters of a clip, divided by 100, where a rater who chose something else
    counts 0; ``Intensity`` is the level of whatever emotion a rater chose, 0 for neutral.

    Parameters
    ----------
    root : Path
        A clone of the repository, or a part of it.
    ratings : {"voice", "face", "both"}
        What raters had before them: the sound, the picture, or the video with its sound.
    findings : Findings
        Clips that are not downloaded are added; they are left out.

    Raises
    ------
    RefusedError
        When the folder has another layout, or none of the clips is downloaded.
    """
    digit, folder = _SOURCES[ratings]
    check_layout(root, [_ACTORS, _VOTES], _LAYOUT)
    table, media = _mean_levels(root / _VOTES, digit), root / folder
    there = [path for path in list_media_folder(media).files if not is_lfs_pointer(path)]
    # One name lacks its last letter: 1040_ITH_SAD_X.wav.
    table["path"] = table["clip_id"].map({each.stem.ljust(15, "X"): each.name for each in there})
    is_there, kind = table["path"].notna(), "clips that are not downloaded"
    fetch = f"`git lfs pull --include {folder}` in {root} fetches the rest"
    done = f"left out, as of a half-finished download, with pointers of Git LFS: {fetch}"
    if not is_there.any():
        why = f"{media} holds none of the clips, at most pointers of Git LFS: {fetch}"
        raise RefusedError(kind, table["clip_id"], why)
    findings.add(kind, "warning", table["clip_id"][~is_there], done)
    actors = read_text_table(root / _ACTORS, findings).rename(columns=str.lower)
    table = table[is_there].assign(group=table["clip_id"].str[:4])
    table = table.merge(actors.rename(columns={"actorid": "group"}), how="left", on="group")
    return LabelSource(table, CREMAD_TARGETS, media, slices=("sex", "age"))


def _mean_levels(path: Path, digit: str) -> pd.DataFrame:
    """Return ``clip_id`` and the targets as text, of the rows whose number begins with a digit."""
    votes = pd.concat(open_table(path).blocks, ignore_index=True)
    named = {name: f"mean{name}Resp" for name in CREMAD_TARGETS[:-1]}
    check_columns(votes, ["fileName", *"ADFHNS", *named.values()], path)
    votes = votes[votes.iloc[:, 0].str.startswith(digit)]
    n_votes = votes[[*"ADFHNS"]].astype(float)
    levels = pd.DataFrame({"clip_id": votes["fileName"]})
    for name, column in named.items():  # -1 where nobody voted so
        level = votes[column].astype(float).clip(lower=0) / 100
        levels[name] = n_votes[name[0]] * level / n_votes.sum(axis=1)
    levels["Intensity"] = levels[[*named]].sum(axis=1)
    return levels.round(4).astype("string")
