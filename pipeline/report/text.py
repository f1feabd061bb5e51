"""The leaderboard as text, and what a reader must know beside it."""

import pandas as pd

from pipeline.params import Params

RANDOM_NOTE = (
    "Encoders with random weights: {}. These scores show that the pipeline works, not what "
    "pretrained encoders reach."
)


def leaderboard_text(table: pd.DataFrame) -> str:
    """Set the leaderboard for a terminal: name, then mean Pearson with interval per split.

    ``P > best`` is the share of the resamples of people, on the split that the table is sorted by,
    in which a row is above the first one. ``constant`` names targets whose predictions do not
    vary; it is there only where one does not.
    """
    splits = [s for s in ("val", "test", "oof") if f"{s}_mean_pearson" in table]
    shown = pd.DataFrame({"head/view": table["name"]})
    for split in splits:
        shown[f"{split} r"] = table[f"{split}_mean_pearson"].map(_signed)
        low, high = (table[f"{split}_ci95_{end}"].map(_signed) for end in ("low", "high"))
        shown[f"{split} 95 % CI"] = "[" + low + ", " + high + "]"
    shown["oof by fold"] = table["oof_foldwise_mean_pearson"].map(_signed)
    main = "val" if "val" in splits else "oof"
    shown["P > best"] = table[f"{main}_better_than_best"].map(_share)
    constant = table["constant"].astype("string").fillna("")
    if (constant != "").any():
        shown["constant"] = constant
    return shown.to_string(index=False)


def notes(params: Params) -> list[str]:
    """Return what has to be said wherever results are shown."""
    random = [name for name, spec in params.encoders.items() if spec.get("weights") == "random"]
    return [RANDOM_NOTE.format(", ".join(random))] if random else []


def _signed(value: float | None) -> str:
    return "   n/a" if value is None or pd.isna(value) else f"{value:+.3f}"


def _share(value: float | None) -> str:
    return "" if value is None or pd.isna(value) else f"{value:.3f}"
