"""What the columns of other people's tables are, by names and content; splits, also drawn anew."""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.clip_table import SPLITS
from pipeline.dialects import to_numbers
from pipeline.findings import Findings, RefusedError

_SPLIT_WORDS = {
    "Train": "train training tr trn entrenamiento entrainement apprentissage",
    "Val": "val valid validation dev devel development validierung validacion publictest",
    "Test": "test testing te heldout prueba privatetest",
}

PERSON_WORDS = "group person subject speaker participant actor user"
"""What columns of people are called, the best words first; perhaps with ``id`` behind."""

# What columns of tables of features hold, by their names: before the features, but flags; in tables
# of face trackers (OpenFace, LibreFace, Py-Feat, scripts around MediaPipe) wherever they are.
_ROLE_OF = {
    word: role
    for role, words in {
        "id": "id ids name clip clip_id file file_id file_name filename segment_id "
        "video video_id video_name path file_path filepath image image_path video_path audio_path",
        "time": "time time_s time_ms t start start_s start_ms start_time seconds milliseconds "
        "frametime timestamp_s video_time",
        "tracked": "frame_time_in_ms timestamp timestamp_ms",
        "frame": "frame frame_id frame_idx frame_number",
        "face": "face_id face identity person_id track track_id",
        "flag": "success confidence facescore face_score face_detected detected face_confidence "
        "detection_confidence tracking_confidence",
        "about": "facerectx facerecty facerectwidth facerectheight input approx_time "
        "facial_expression",
        "other": "end end_s end_ms end_time index split",
    }.items()
    for word in words.split()
} | {"": "other"}
_OF_TRACKERS = ("flag", "face", "frame", "tracked", "about")


def guess_feature_columns(names: Sequence[Any], source: Path) -> dict[str, Any]:
    """Tell ids, times and features of a table apart, by the names of its columns.

    Returns
    -------
    dict
        ``id``, ``time``, ``face`` (which of several): a name, or None. ``flags`` (small where a row
        was not measured), ``features``, ``left_out``: lists of names.

    Raises
    ------
    RefusedError
        For a table without a header or without a feature.
    """
    counted = [*map(str, range(len(names)))]  # as pandas calls the columns of a matrix
    is_matrix = [name for name in names if name] in (counted, counted[:-1])
    if isinstance(names[-1], str) and not (is_matrix or to_numbers(names)[1].any()):
        why = f"{source} has no header: expected the names of its columns"
        raise RefusedError("files without a header", [source], why)
    given = {name: role_of(name) for name in names}
    of_tracker = not {"frame", "tracked"}.isdisjoint(given.values())
    of_tracker |= any(role in _OF_TRACKERS and "face" in plain_name(n) for n, role in given.items())
    by_role: dict[str, list[Any]] = {"feature": []}
    is_leading = True
    for name, role in given.items():
        is_leading &= role not in ("feature", "flag", "about")
        is_known = is_leading or (of_tracker and role in _OF_TRACKERS)
        kind = "time" if role == "tracked" else role
        by_role.setdefault(kind if is_known else "feature", []).append(name)
    features = by_role["feature"]
    if features and plain_name(features[-1]) == "class":  # as an ARFF ends
        features.pop()
    if not features:
        why = f"{source} has no feature column: it has {list(names)[:10]}"
        raise RefusedError("files without a feature column", [source], why)
    first = {role: names[0] for role, names in by_role.items() if names}
    columns = {role: first.get(role) for role in ("id", "face")}
    columns["time"] = first.get("time", first.get("frame"))
    flags = by_role.get("flag", [])
    known = [*columns.values(), *flags, *features]
    left_out = [name for name in names if name not in known]
    return columns | {"flags": flags, "features": features, "left_out": left_out}


def word_of(name: str) -> str:
    """Write a name of a column in plain letters: ``Vidéo ID`` and ``video_id`` are ``videoid``."""
    word = re.sub(r"[^a-z]", "", unicodedata.normalize("NFKD", name).lower())
    return word.removesuffix("id") if word.removesuffix("id") in PERSON_WORDS.split() else word


def split_of(text: str) -> str | None:
    """Return the split that a word means, such as ``dev`` and ``Training set``; None for none."""
    word = word_of(text)
    word = word.removesuffix("set") or word
    return next((split for split, words in _SPLIT_WORDS.items() if word in words.split()), None)


def known_splits(labels: pd.DataFrame, findings: Findings) -> "pd.Series[str]":
    """Return Train, Val or Test for every clip; null, and a finding, for what means none of them.

    Labels without a column ``split`` are a RefusedError.
    """
    if "split" not in labels:
        how = "name the column with --split, or draw splits with --split-by-person"
        raise RefusedError("missing columns", ["split"], f"no column has train, val or test: {how}")
    given = labels["split"].astype("string")
    split = given.map(split_of, "ignore").astype("string")
    wrong = labels["clip_id"].astype("string") + ": " + given.fillna("blank")
    findings.error("splits that are none", wrong[split.isna()], "expected Train, Val or Test")
    empty = [name for name in SPLITS if not (split == name).any()]
    findings.warn("splits without clips", empty, "nothing will be scored there")
    return split


def split_by_person(people: "pd.Series[str]", shares: Sequence[float], seed: int) -> list[str]:
    """Draw a split for every clip, all clips of a person the same.

    People are shuffled; each goes to the split that lacks most of its share of the clips, and the
    splits that have nobody yet come first when people run out. The order of the rows is of no
    account.

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
        why = f"{len(sizes)} people cannot be in {n_splits} splits: give a share of 0 (0.7,0.3,0)"
        raise RefusedError("too few people", sizes.index, why)
    order = np.random.default_rng(seed).permutation(len(sizes))
    filled = np.zeros(len(SPLITS))
    chosen = {}
    for n_done, person in enumerate(order):
        empty = (filled == 0) & (wanted > 0)
        may = empty if len(order) - n_done <= empty.sum() else wanted > 0
        split = int(np.argmax(np.where(may, wanted * len(people) - filled, -np.inf)))
        filled[split] += sizes.iloc[person]
        chosen[sizes.index[person]] = SPLITS[split]
    return [chosen[person] for person in people]


def plain_name(name: Any) -> str:
    """Write a name of a column in small letters and underscores; an unnamed one is empty."""
    plain = re.sub(r"[\s-]+", "_", str(name).strip().casefold())
    return "" if plain.startswith("unnamed:") else plain


def role_of(name: Any) -> str:
    """Return what a column of this name holds, such as ``id`` or ``frame``, the rows' numbers."""
    return _ROLE_OF.get(plain_name(name), "feature")
