"""The tables of text that page and card show; the leaderboard's is in `pipeline.leaderboard`."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from pipeline.leaderboard import STACK

# What readers call the columns of the tables of a run. The low end of an interval stands for both.
CONTRIBUTIONS = {
    **{"kind": "kind", "part": "part", "encoders": "encoders"},
    **{"alone": "alone", "alone_ci95_low": "alone 95 % CI"},
    **{"gain": "adds", "ci95_low": "adds 95 % CI", "p_better": "P > 0"},
}
SLICES = {
    **{"column": "column", "slice": "slice", "split": "split", "name": "head/view"},
    **{"n_rows": "clips", "n_people": "people"},
    **{"mean_pearson": "mean Pearson", "ci95_low": "95 % CI"},
}
CURVE = {
    **{"n_people": "people", "n_rows": "clips", "n_fits": "fits"},
    **{"mean_pearson": "mean Pearson", "ci95_low": "95 % CI"},
    **{"lowest": "lowest draw", "highest": "highest draw"},
}
ERRORS = {
    **{"target": "target", "n_clips": "clips", "pearson": "Pearson"},
    **{"bias": "label minus prediction", "ci95_low": "95 % CI", "mean_absolute": "mean size"},
    **{"label_sd": "SD of labels", "prediction_sd": "SD of predictions"},
}


def worse_slices(slices: pd.DataFrame, overall: float, split: str) -> pd.DataFrame:
    """Return the slices of a split in which the stack scores below `overall`, the worst first.

    The column ``surely`` has that word where the whole interval lies below, and is empty elsewhere.
    """
    own = slices[(slices["split"] == split) & (slices["name"] == STACK)]
    worse = own[own["mean_pearson"] < overall].sort_values("mean_pearson")
    surely = pd.Series("", worse.index).mask(worse["ci95_high"] < overall, "surely")
    return worse.assign(surely=surely)


def group_columns(slices: pd.DataFrame) -> list[str]:
    """Return the columns of slices that can say who people are: all but the duration."""
    return [name for name in slices["column"].unique() if name != "duration_s"]


def encoder_text(record: Mapping[str, Any]) -> pd.DataFrame:
    """Lay out the encoders of a run, from `pipeline.report.results.run_record`."""
    table = pd.DataFrame.from_dict(record["encoders"], orient="index").rename_axis("encoder")
    table["weights_digest"] = table["weights_digest"].str[:16]
    names = {"weights_digest": "digest of the weights", "identity": "identity of its embeddings"}
    return table.rename(columns=names).reset_index()
