"""The splits of imported labels: as a column has them, or drawn by person."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.findings import Findings, RefusedError
from pipeline.imports.columns import split_of
from pipeline.labels import SPLITS


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
    done = f"expected {', '.join(SPLITS)}, or train/devel/test"
    findings.add("splits that are none", "error", wrong[split.isna()], done)
    empty = [name for name in SPLITS if not (split == name).any()]
    findings.add("splits without clips", "warning", empty, "nothing will be scored there")
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
        why = f"{len(sizes)} people cannot be in {n_splits} splits: name fewer splits"
        raise RefusedError("too few people", sizes.index, why)
    order = np.random.default_rng(seed).permutation(len(sizes))
    filled = np.zeros(len(SPLITS))
    split_of = {}
    for n_done, person in enumerate(order):
        empty = (filled == 0) & (wanted > 0)
        may = empty if len(order) - n_done <= empty.sum() else wanted > 0
        split = int(np.argmax(np.where(may, wanted * len(people) - filled, -np.inf)))
        filled[split] += sizes.iloc[person]
        split_of[sizes.index[person]] = SPLITS[split]
    return [split_of[person] for person in people]
