"""The CSV tables of a run, read as they were written."""

from pathlib import Path

import pandas as pd

TEXT_COLUMNS = frozenset(
    {"File_ID", "clip_id", "column", "constant", "encoders", "kind", "member", "missing", "name"}
    | {"part", "reasons", "slice", "split"}
)
"""Text, whatever it looks like: the clip 00017 keeps its zeros."""


def read_run_table(path: Path) -> pd.DataFrame:
    """Read a CSV table that a stage wrote.

    Only an empty cell is missing: ``NA`` may be a clip, an encoder or a country.

    Parameters
    ----------
    path : Path
        A table of `pipeline.paths`.
    """
    return pd.read_csv(
        path, dtype=dict.fromkeys(TEXT_COLUMNS, str), keep_default_na=False, na_values=[""]
    )
