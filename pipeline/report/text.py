"""The leaderboard as text, and what a reader must know beside it."""

import pandas as pd

from pipeline import text_tables
from pipeline.params import Params
from pipeline.text_tables import RANDOM_NOTE, notes

__all__ = ["RANDOM_NOTE", "notes"]

REFIT_NOTE = (
    "Predictions of Test come from heads refitted on Train and Val (final.refit_on); Val and "
    "out-of-fold scores from heads fitted on Train only."
)


def leaderboard_text(table: pd.DataFrame) -> str:
    """Set the leaderboard for a terminal; see `pipeline.text_tables.leaderboard_text`."""
    return text_tables.leaderboard_text(table).to_string(index=False)


def official_where_other(table: pd.DataFrame, split: str) -> "pd.Series[str]":
    """Set the official mean Pearson of a split; empty where it is that of the leaderboard."""
    return text_tables.official_where_other(text_tables.board_of_split(table, split))


def refit_notes(params: Params) -> list[str]:
    """Return what has to be said where predictions of Test are shown."""
    return [REFIT_NOTE] if params.final.refit_on == "train+val" else []


def imputed_text(imputed: pd.DataFrame) -> list[str]:
    """Say in one line per split how many clips lack features; none where none does."""
    return [
        f"{split}: {counts['clips']} clips are predicted without the features of some encoder, "
        f"{counts['all_missing']} of them without any"
        for split, counts in imputed_counts(imputed).items()
    ]


def imputed_counts(imputed: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Count by split the clips that lack features of an encoder, and those that lack all.

    Parameters
    ----------
    imputed : DataFrame
        What ``imputed.csv`` holds.
    """
    return {
        str(split): {"clips": len(part), "all_missing": int(part["all_missing"].sum())}
        for split, part in imputed.groupby("split", sort=False)
    }
