"""The leaderboard as text, and what a reader must know beside it."""

import pandas as pd

from pipeline.params import Params

RANDOM_NOTE = (
    "Encoders with random weights: {}. These scores show that the pipeline works, not what "
    "pretrained encoders reach."
)
REFIT_NOTE = (
    "Predictions of Test come from heads refitted on Train and Val (final.refit_on); Val and "
    "out-of-fold scores from heads fitted on Train only."
)


def leaderboard_text(table: pd.DataFrame) -> str:
    """Set the leaderboard for a terminal: name, then mean Pearson with interval per split.

    ``P > best`` is the share of the resamples of people, on the split that the table is sorted by,
    in which a row is above the first one. ``constant`` names targets whose predictions do not
    vary; it is there only where one does not. ``official`` is the challenge's own mean on that
    split where it differs from ours; it is there only where one does.
    """
    splits = [s for s in ("val", "test", "oof") if f"{s}_mean_pearson" in table]
    shown = pd.DataFrame({"head/view": table["name"]})
    for split in splits:
        shown[f"{split} r"] = table[f"{split}_mean_pearson"].map(_signed)
        low, high = (table[f"{split}_ci95_{end}"].map(_signed) for end in ("low", "high"))
        shown[f"{split} 95 % CI"] = "[" + low + ", " + high + "]"
    main = "val" if "val" in splits else "oof"
    official = official_where_other(table, main)
    if (official != "").any():
        shown["official"] = official
    shown["oof by fold"] = table["oof_foldwise_mean_pearson"].map(_signed)
    shown["P > best"] = table[f"{main}_better_than_best"].map(_share)
    constant = table["constant"].astype("string").fillna("")
    if (constant != "").any():
        shown["constant"] = constant
    return shown.to_string(index=False)


def official_where_other(table: pd.DataFrame, split: str) -> "pd.Series[str]":
    """Set the official mean Pearson of a split; empty where it is that of the leaderboard."""
    ours, official = table[f"{split}_mean_pearson"], table[f"{split}_official_mean_pearson"]
    text = official.map(lambda value: "NaN" if pd.isna(value) else _signed(value))
    return text.where(ours.notna() & (ours != official), "")


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


def notes(params: Params) -> list[str]:
    """Return what has to be said wherever results are shown."""
    random = [name for name, spec in params.encoders.items() if spec.get("weights") == "random"]
    return [RANDOM_NOTE.format(", ".join(random))] if random else []


def _signed(value: float | None) -> str:
    return "   n/a" if value is None or pd.isna(value) else f"{value:+.3f}"


def _share(value: float | None) -> str:
    return "" if value is None or pd.isna(value) else f"{value:.3f}"
