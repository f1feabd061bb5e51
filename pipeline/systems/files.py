"""What is written of the systems: tables for programs, spreadsheets and papers."""

import json
from functools import partial
from pathlib import Path

from pipeline.compare.board import Board
from pipeline.compare.files import markdown_table, records
from pipeline.replacing import replace_file
from pipeline.systems.settings import Systems
from pipeline.systems.tables import all_remarks, gains_table, systems_table, text_tables


def write_files(board: Board, systems: Systems, folder: Path) -> list[Path]:
    """Write ``systems.csv``, ``gains.csv``, ``systems.json`` and ``systems.md``.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    OSError
        When the folder cannot be written.
    """
    table, gained = systems_table(board, systems), gains_table(board, systems)
    content = {
        "split": board.plan.split,
        "labels": str(board.plan.params.data.labels),
        "systems": records(table),
        "gains": records(gained),
        "remarks": all_remarks(board),
    }
    blocks = []
    for each in text_tables(board, systems):
        blocks += [f"**{each.title}**", markdown_table(each)]
    page = "\n\n".join([*blocks, *all_remarks(board)]) + "\n"
    contents = {
        "systems.csv": table.to_csv(index=False),
        "gains.csv": gained.to_csv(index=False),
        "systems.json": json.dumps(content, indent=2) + "\n",
        "systems.md": page,
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in contents.items():
        replace_file(folder / name, partial(Path.write_text, data=text, encoding="utf-8"))
    return [folder / name for name in contents]
