"""What a comparison writes: the leaderboard for programs, spreadsheets and papers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.compare.board import Board
from pipeline.compare.layout import TextTable, extra_tables, main_table, remarks
from pipeline.replacing import replace_file


def write_files(board: Board, folder: Path) -> list[Path]:
    """Write the leaderboard, and the tracebacks of what failed.

    Parameters
    ----------
    board : Board
        When all is done.
    folder : Path
        Gets ``leaderboard.parquet``, ``.csv`` and ``.md``; ``slices.csv`` and
        ``learning_curve.csv`` where asked for; ``errors.txt`` where something failed. What is not
        written is removed, so that nothing stays of an earlier comparison.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    OSError
        When the folder cannot be written.
    """
    table = board.table()
    table.insert(1, "split", board.plan.split)
    errors = "\n\n".join(
        f"{entry.name}: {entry.error}\n{entry.details}" for entry in board.named("failed")
    )
    contents: dict[str, Callable[[Path], Any] | None] = {
        "leaderboard.parquet": lambda path: table.to_parquet(path, index=False),
        "leaderboard.csv": _as_csv(table),
        "leaderboard.md": lambda path: path.write_text(markdown(board), encoding="utf-8"),
        "slices.csv": _as_csv(board.slices),
        "learning_curve.csv": _as_csv(board.curve),
        "errors.txt": (lambda path: path.write_text(errors, encoding="utf-8")) if errors else None,
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, write in contents.items():
        if write is None:
            (folder / name).unlink(missing_ok=True)
        else:
            replace_file(folder / name, write)
    return [folder / name for name, write in contents.items() if write is not None]


def markdown(board: Board) -> str:
    """Return all tables and remarks as Markdown."""
    blocks = []
    for table in [main_table(board), *extra_tables(board)]:
        blocks += [f"**{table.title}**", markdown_table(table)]
    return "\n\n".join(blocks + remarks(board)) + "\n"


def as_json(board: Board, files: list[Path]) -> dict[str, Any]:
    """Return all that is known of a comparison, for `json.dumps`; what is undefined is None."""
    targets = board.plan.params.targets
    rows = records(board.table())
    for record in rows:
        record["ci95"] = [record.pop("ci95_low"), record.pop("ci95_high")]
        record["pearson"] = {target: record.pop(f"pearson_{target}") for target in targets}
    return {
        "split": board.plan.split,
        "targets": list(targets),
        "n_reused": board.n_reused,
        "rows": rows,
        "slices": records(board.slices),
        "learning_curve": records(board.curve),
        "remarks": remarks(board),
        "files": [str(path) for path in files],
    }


def markdown_table(table: TextTable) -> str:
    """Return a table as Markdown."""
    ruler = [":--", *["--:"] * (len(table.header) - 1)]
    lines = [table.header, ruler, *table.rows]
    return "\n".join("| " + " | ".join(_escaped(cell) for cell in line) + " |" for line in lines)


def records(table: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Return the rows of a table for `json.dumps`; what is undefined is None."""
    if table is None:
        return []
    values = table.astype(object)
    rows = values.where(values.notna(), None).itertuples(index=False)
    return [dict(zip(table.columns, row, strict=True)) for row in rows]


def _as_csv(table: pd.DataFrame | None) -> Callable[[Path], Any] | None:
    return None if table is None else lambda path: table.to_csv(path, index=False)


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")
