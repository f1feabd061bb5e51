"""The tables of a run: read from CSV as they were written, and laid out as text."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from features.files import replacing_file

TEXT_COLUMNS = frozenset(
    {"File_ID", "clip_id", "column", "constant", "encoders", "kind", "member", "missing", "name"}
    | {"oof_constant", "part", "reasons", "slice", "split", "test_constant", "val_constant"}
)
"""Text, whatever it looks like: the clip 00017 keeps its zeros."""

NAMES = {
    **{"name": "head/view", "n_rows": "clips", "n_clips": "clips", "n_people": "people"},
    **{"n_fits": "fits", "mean_pearson": "mean r", "pearson": "r", "ci95_low": "95 % CI"},
    **{"alone_ci95_low": "alone 95 % CI", "gain": "adds", "added_to": "to", "p_better": "P > 0"},
    **{"lowest": "lowest draw", "highest": "highest draw", "bias": "label minus prediction"},
    **{"mean_absolute": "mean size", "label_sd": "SD of labels"},
    **{"prediction_sd": "SD of predictions", "weights_digest": "digest of the weights"},
    **{"identity": "identity of its embeddings"},
}
"""What readers call columns of our tables, where that is not their name."""

_NUMBER_FORMS = {"better_than_best": ".3f", "p_better": ".3f", "fit_s": ".1f"}
_NUMBER_FORMS |= dict.fromkeys(["mean_absolute", "label_sd", "prediction_sd"], ".3f")
"""How the numbers of a column are written; others are scores, which have a sign."""


def read_run_table(path: Path) -> pd.DataFrame:
    """Read a CSV table that a stage wrote.

    Only an empty cell is missing: ``NA`` may be a clip, an encoder or a country.
    """
    return pd.read_csv(
        path, dtype=dict.fromkeys(TEXT_COLUMNS, str), keep_default_na=False, na_values=[""]
    )


def laid_out(table: pd.DataFrame, names: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Turn a table of numbers, as a stage wrote it, into one of text.

    `names` has the columns wanted and what readers call them, two perhaps alike, by default all, as
    `NAMES` has them; the low end of an interval stands for both. Scores have a sign.
    """
    if names is None:
        columns = [each for each in map(str, table) if not each.endswith("ci95_high")]
        names = {each: NAMES.get(each, each) for each in columns}
    shown = []
    for column in names:
        values = table[column]
        if column.endswith("ci95_low"):
            high = number_text(table[f"{column.removesuffix('low')}high"])
            interval = "[" + number_text(values) + ", " + high + "]"
            shown.append(interval.where(values.notna(), ""))
        elif pd.api.types.is_float_dtype(values):
            shown.append(number_text(values, _NUMBER_FORMS.get(column, "+.3f")))
        else:
            shown.append(values.astype(str))
    return pd.concat(shown, axis=1).set_axis([*names.values()], axis=1)


def number_text(
    values: "pd.Series[float]", form: str = "+.3f", undefined: str = ""
) -> "pd.Series[str]":
    """Write numbers in a form of Python's `format`; by default as scores, with their signs."""
    return values.map(lambda value: undefined if pd.isna(value) else f"{value:{form}}").astype(
        object
    )


def score_text(score: float) -> str:
    """Write a score with its sign; one that is not there is no number."""
    return "undefined" if pd.isna(score) else f"{score:+.3f}"


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table for `json.dumps`; what is undefined is None."""
    values = table.astype(object)
    rows = values.where(values.notna(), None).itertuples(index=False)
    return [dict(zip(table.columns, row, strict=True)) for row in rows]


def markdown_page(tables: Iterable[tuple[str, pd.DataFrame]], remarks: Iterable[str]) -> str:
    """Return tables of text with their titles, then remarks, as Markdown."""
    blocks = [block for title, table in tables for block in (f"**{title}**", markdown(table))]
    return "\n\n".join([*blocks, *remarks]) + "\n"


def markdown(table: pd.DataFrame) -> str:
    """Return a table of text as Markdown: its first column holds names, the others numbers."""
    header = [str(name) for name in table]
    ruler = [":--", *["--:"] * (len(header) - 1)]
    lines: list[list[object]] = [[*header], [*ruler], *table.to_numpy(object).tolist()]
    escaped = ([str(cell).replace("|", "\\|") for cell in line] for line in lines)
    return "\n".join("| " + " | ".join(line) + " |" for line in escaped)


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table without its row names, whole or not at all."""
    write_text(table.to_csv(index=False), path)


def write_text(text: str, path: Path) -> None:
    """Write a file of text, whole or not at all."""
    with replacing_file(path) as beside:
        beside.write_text(text, encoding="utf-8")
