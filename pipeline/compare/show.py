"""A board in a terminal, where it fills up as heads are done, or line by line in a file."""

from collections.abc import Iterable
from typing import Self

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.table import Table

from pipeline.compare.board import Board
from pipeline.compare.layout import (
    TextTable,
    extra_tables,
    main_table,
    outcome,
    progress,
    remarks,
)

_WIDE = 1000
"""Width of what is no terminal: no column is cut there."""


class Display:
    """Shows a comparison while it runs and when it is done; use it as a context manager.

    In a terminal the leaderboard is drawn anew whenever something changes, and disappears in the
    end; elsewhere every finished row is one line.
    """

    def __init__(self) -> None:
        self._console = Console(markup=False, highlight=False, emoji=False)
        if not self._console.is_terminal:
            self._console.width = _WIDE
        self._board: Board | None = None
        self._told: set[str] = set()
        self._live = Live(self, console=self._console, transient=True, refresh_per_second=1)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def update(self, board: Board) -> None:
        """Show what is new on the board."""
        self._board = board
        if self._console.is_terminal:
            self._live.refresh()
        else:
            self._tell_new(board)

    def finish(self, board: Board) -> None:
        """Print the leaderboard and the second tables."""
        self._live.stop()
        self._console.print(progress(board))
        self.print([main_table(board), *extra_tables(board)], remarks(board))

    def print(self, tables: Iterable[TextTable], remarks: Iterable[str]) -> None:
        """Print tables with their titles, then remarks."""
        self._live.stop()
        for table in tables:
            self._console.print(f"\n{table.title}", self._fitting(table))
        for remark in remarks:
            self._console.print(remark)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the board as it is now: rich calls this every second."""
        if self._board is not None:
            yield progress(self._board)
            yield self._fitting(main_table(self._board))

    def _tell_new(self, board: Board) -> None:
        for entry in [*board.named("done"), *board.named("failed")]:
            if entry.name not in self._told and not entry.reused:
                self._console.print(outcome(entry))
            self._told.add(entry.name)

    def _fitting(self, table: TextTable) -> Table:
        """Leave out the columns by target where the terminal is too narrow for them."""
        wide = _rich_table(table, len(table.header))
        unbounded = self._console.options.update(width=_WIDE)
        fits = self._console.measure(wide, options=unbounded).maximum <= self._console.width
        return wide if fits else _rich_table(table, table.n_narrow)


def _rich_table(table: TextTable, n_columns: int) -> Table:
    drawn = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for number, name in enumerate(table.header[:n_columns]):
        drawn.add_column(name, justify="right" if number else "left", no_wrap=number > 0)
    for row in table.rows:
        drawn.add_row(*row[:n_columns])
    return drawn
