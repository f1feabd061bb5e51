"""Tables of text, for terminals and Markdown alike, and what must be said beside any result."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from features.files import replacing_file
from pipeline.leaderboard import SPLITS
from pipeline.params import Params

_N_DIGITS = {"better_than_best": 3, "p_better": 3, "fit_s": 1}
_N_DIGITS |= {"mean_absolute": 3, "label_sd": 3, "prediction_sd": 3}
"""Of the columns whose numbers have no sign."""

RANDOM_NOTE = (
    "Encoders with random weights: {}. These scores show that the pipeline works, not what "
    "pretrained encoders reach."
)


def leaderboard_text(board: pd.DataFrame) -> pd.DataFrame:
    """Lay out a leaderboard of all splits: per row the score on each, and how sure it is.

    Parameters
    ----------
    board : DataFrame
        From `pipeline.leaderboard.leaderboard`, best first.

    Returns
    -------
    DataFrame of str
        ``P > best`` is of the split that the board is sorted by. ``official`` is the challenge's
        score there where it differs from ours, ``constant`` names targets whose predictions do not
        vary: columns that would be empty are left out.
    """
    splits = shown_splits(board)
    shown = {"head/view": board["name"]}
    for split in splits:
        part = board_of_split(board, split)
        shown[f"{split} r"] = signed_text(part["mean_pearson"], "n/a")
        shown[f"{split} 95 % CI"] = interval_text(part)
    main = board_of_split(board, splits[0])
    optional = {"official": official_where_other(main), "constant": constant_text(board)}
    shown["official"] = optional["official"]
    if "oof" in splits:
        shown["oof pooled"] = signed_text(board["oof_pooled_mean_pearson"])
    shown["P > best"] = fixed_text(main["better_than_best"], 3)
    shown["constant"] = optional["constant"]
    return pd.DataFrame(
        {name: text for name, text in shown.items() if name not in optional or text.any()}
    )


def shown_splits(board: pd.DataFrame) -> list[str]:
    """Return the splits that a leaderboard has scores of, the one it is sorted by first."""
    return [split for split in SPLITS if f"{split}_mean_pearson" in board]


def board_of_split(board: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return the columns of one split of a leaderboard, called as those of `score_table`."""
    columns = {name: str(name).removeprefix(f"{split}_") for name in board}
    kept = [name for name, bare in columns.items() if bare != name or name == "name"]
    return board[kept].rename(columns=columns)


def official_where_other(table: pd.DataFrame) -> "pd.Series[str]":
    """Set the challenge's score of each row; empty where it is that of the leaderboard.

    Parameters
    ----------
    table : DataFrame
        One split, from `board_of_split`; out of fold the challenge scores nothing.
    """
    ours = table["mean_pearson"]
    official = table.get("official_mean_pearson", ours)
    text = signed_text(official, "NaN")
    return text.where(ours.notna() & (ours != official), "")


def constant_text(table: pd.DataFrame) -> "pd.Series[str]":
    """Return the column ``constant``; empty, not missing, where a table was read from a file."""
    return table["constant"].astype("string").fillna("").astype(object)


def laid_out(table: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """Turn a table of numbers into one of text.

    Parameters
    ----------
    table : DataFrame
        As a stage wrote it.
    names : mapping of str to str
        The columns wanted, and what readers call them. The low end of an interval stands for both.

    Returns
    -------
    DataFrame of str
        Scores have a sign; two columns may be called alike, as a target and one of ours.
    """
    shown = []
    for column in names:
        values = table[column]
        if column.endswith("ci95_low"):
            ends = table[[column, f"{column.removesuffix('low')}high"]]
            shown.append(interval_text(ends.set_axis(["ci95_low", "ci95_high"], axis=1)))
        elif column in _N_DIGITS:
            shown.append(fixed_text(values, _N_DIGITS[column]))
        elif pd.api.types.is_float_dtype(values):
            shown.append(signed_text(values))
        else:
            shown.append(values.astype(str))
    return pd.concat(shown, axis=1).set_axis([*names.values()], axis=1)


def interval_text(table: pd.DataFrame) -> "pd.Series[str]":
    """Set the interval of every row, ``ci95_low`` and ``ci95_high``; empty where there is none."""
    low, high = signed_text(table["ci95_low"]), signed_text(table["ci95_high"])
    return ("[" + low + ", " + high + "]").where(table["ci95_low"].notna(), "")


def signed_text(values: "pd.Series[float]", undefined: str = "") -> "pd.Series[str]":
    """Set scores with their signs, three digits after the point."""
    return values.map(lambda value: undefined if pd.isna(value) else f"{value:+.3f}").astype(object)


def fixed_text(values: "pd.Series[float]", n_digits: int) -> "pd.Series[str]":
    """Set numbers with so many digits after the point; empty where there is none."""
    return values.map(lambda value: "" if pd.isna(value) else f"{value:.{n_digits}f}").astype(
        object
    )


def write_texts(folder: Path, texts: Mapping[str, str | None]) -> list[Path]:
    """Write files of text by name; one without text is removed, so that nothing old stays.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    OSError
        When the folder cannot be written.
    """
    for name, text in texts.items():
        if text is None:
            (folder / name).unlink(missing_ok=True)
            continue
        with replacing_file(folder / name) as beside:
            beside.write_text(text, encoding="utf-8")
    return [folder / name for name, text in texts.items() if text is not None]


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


def notes(params: Params) -> list[str]:
    """Return what has to be said wherever results are shown."""
    random = [
        name for name, spec in params.encoders.items() if getattr(spec, "weights", None) == "random"
    ]
    return [RANDOM_NOTE.format(", ".join(random))] if random else []
