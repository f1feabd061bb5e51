"""The tables of text that page and model card show; the leaderboard's is in `pipeline.text_tables`."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from pipeline.leaderboard import BASELINE, STACK
from pipeline.text_tables import fixed_text, interval_text, signed_text

MOST_SLICES = 200
"""Scores by slice that a page lists."""

_INTERVAL = ["ci95_low", "ci95_high"]


def contribution_text(contributions: pd.DataFrame) -> pd.DataFrame:
    """Lay out what each modality and encoder reaches alone, and adds to the others."""
    alone = contributions[["alone_ci95_low", "alone_ci95_high"]].set_axis(_INTERVAL, axis=1)
    return pd.DataFrame(
        {
            "part": contributions["kind"] + " " + contributions["part"],
            "encoders": contributions["encoders"],
            "alone": signed_text(contributions["alone"]),
            "alone 95 % CI": interval_text(alone),
            "adds": signed_text(contributions["gain"]),
            "adds 95 % CI": interval_text(contributions),
            "P > 0": fixed_text(contributions["p_better"], 3),
        }
    )


def slice_text(slices: pd.DataFrame) -> pd.DataFrame:
    """Lay out scores inside slices, the first `MOST_SLICES`."""
    shown = slices.head(MOST_SLICES)
    return pd.DataFrame(
        {
            "column": shown["column"],
            "slice": shown["slice"],
            "split": shown["split"],
            "head/view": shown["name"],
            "clips": shown["n_rows"],
            "people": shown["n_people"],
            "mean Pearson": signed_text(shown["mean_pearson"]),
            "95 % CI": interval_text(shown),
        }
    )


def worse_slices(slices: pd.DataFrame, part: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return the slices in which the stack scores below its overall score, the worst first.

    Parameters
    ----------
    slices : DataFrame
        What ``slices.csv`` holds.
    part : DataFrame
        The leaderboard of the split, from `pipeline.text_tables.board_of_split`.
    split : {"val", "test", "oof"}
        The split.

    Returns
    -------
    DataFrame
        Rows of `slices`, and ``surely``: the word where the whole interval lies below, else empty.
    """
    stack = part[part["name"] == STACK]
    overall = float(stack["mean_pearson"].iloc[0]) if len(stack) else float("nan")
    own = slices[(slices["split"] == split) & (slices["name"] == STACK)]
    worse = own[own["mean_pearson"] < overall].sort_values("mean_pearson")
    surely = pd.Series("", worse.index).mask(worse["ci95_high"] < overall, "surely")
    return worse.assign(surely=surely)


def group_columns(slices: pd.DataFrame) -> list[str]:
    """Return the columns of slices that can say who people are: all but the duration."""
    return [name for name in slices["column"].unique() if name != "duration_s"]


def curve_text(curve: pd.DataFrame) -> pd.DataFrame:
    """Lay out the learning curve."""
    return pd.DataFrame(
        {
            "people": curve["n_people"],
            "clips": curve["n_rows"],
            "fits": curve["n_fits"],
            "mean Pearson": signed_text(curve["mean_pearson"]),
            "95 % CI": interval_text(curve),
            "lowest draw": signed_text(curve["lowest"]),
            "highest draw": signed_text(curve["highest"]),
        }
    )


def error_text(errors: pd.DataFrame, part: pd.DataFrame) -> pd.DataFrame:
    """Lay out how the stack's predictions of each target are off.

    Parameters
    ----------
    errors : DataFrame
        From `pipeline.report.errors.error_table`.
    part : DataFrame
        The leaderboard of the same split, which has the stack's correlations.
    """
    stack = part[part["name"] == STACK].iloc[0]
    pearson = pd.Series([stack[f"pearson_{target}"] for target in errors["target"]], dtype=float)
    return pd.DataFrame(
        {
            "target": errors["target"],
            "clips": errors["n_clips"],
            "Pearson": signed_text(pearson),
            "label − prediction": signed_text(errors["bias"]),
            "95 % CI": interval_text(errors),
            "mean absolute": fixed_text(errors["mean_absolute"], 3),
            "SD of labels": fixed_text(errors["label_sd"], 3),
            "SD of predictions": fixed_text(errors["prediction_sd"], 3),
            "between people": fixed_text(errors["between_people"], 2),
        }
    )


def best_by_target(part: pd.DataFrame) -> pd.DataFrame:
    """Lay out per target the stack's correlation, and the best row with its own."""
    prefix = "pearson_"
    scores = part.set_index("name").filter(regex=f"^{prefix}").astype(float)
    own = scores.loc[STACK] if STACK in scores.index else pd.Series(float("nan"), scores.columns)
    best = scores.max()
    named = [scores[name].idxmax() if scores[name].notna().any() else "" for name in scores]
    return pd.DataFrame(
        {
            "target": [str(name).removeprefix(prefix) for name in scores],
            "stack": signed_text(own).to_numpy(),
            "best row": named,
            "its Pearson": signed_text(best).to_numpy(),
        }
    )


def main_rows(board: pd.DataFrame) -> pd.DataFrame:
    """Return the stack, the best single row and the baselines of a leaderboard."""
    is_stack, is_baseline = board["name"] == STACK, board["name"].str.startswith(BASELINE)
    best = board[~is_baseline & ~is_stack].head(1)
    return pd.concat([board[is_stack], best, board[is_baseline]])


def encoder_text(record: Mapping[str, Any]) -> pd.DataFrame:
    """Lay out the encoders of a run, from `pipeline.report.run.run_record`."""
    table = pd.DataFrame.from_dict(record["encoders"], orient="index").rename_axis("encoder")
    table["weights_digest"] = table["weights_digest"].str[:16]
    names = {"weights_digest": "digest of the weights", "identity": "identity of its embeddings"}
    return table.rename(columns=names).reset_index()
