"""What the command `eri compare` does with its options."""

import json
import sys
from pathlib import Path

import typer

from pipeline.compare.board import Board
from pipeline.compare.files import as_json, write_files
from pipeline.compare.plan import Request
from pipeline.compare.run import run

INTERRUPTED = 130


def compare_and_print(request: Request, time_limit_s: float, out: Path, in_json: bool) -> None:
    """Compare, write the files, and print the tables, or all of it as JSON.

    Raises
    ------
    typer.Exit
        When it was interrupted, or no head could be fitted on any view.
    """
    try:
        board = _run(request, time_limit_s) if in_json else _run_and_show(request, time_limit_s)
    except KeyboardInterrupt:
        print("interrupted; what is fitted stays so: the same command goes on", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    files = write_files(board, out)
    if in_json:
        print(json.dumps(as_json(board, files), indent=2))
    else:
        print("\n".join(["", *map(str, files)]))
    if not board.members:
        raise typer.Exit(1)


def _run(request: Request, time_limit_s: float) -> Board:
    *_, board = run(request, time_limit_s)
    return board


def _run_and_show(request: Request, time_limit_s: float) -> Board:
    from pipeline.compare.show import Display  # not for JSON: rich takes its time

    with Display() as display:
        for board in run(request, time_limit_s):
            display.update(board)
    display.finish(board)
    return board
