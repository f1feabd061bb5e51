"""Tables of text in a terminal, where they can be drawn anew, or line by line in a file."""

from collections.abc import Callable, Iterable
from typing import Self

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table

_WIDE = 1000
"""Width of what is no terminal: no column is cut there."""


class Screen:
    """What a command shows while it runs, and in the end; use it as a context manager.

    In a terminal one table is drawn anew whenever something changes, and disappears in the end;
    elsewhere lines are printed one after the other.
    """

    def __init__(self) -> None:
        self._console = Console(markup=False, highlight=False, emoji=False)
        if not self._console.is_terminal:
            self._console.width = _WIDE
        self._text: Callable[[], tuple[str, pd.DataFrame]] | None = None
        self._live = Live(
            get_renderable=self._drawn, console=self._console, transient=True, refresh_per_second=1
        )

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def draw(self, text: Callable[[], tuple[str, pd.DataFrame]]) -> None:
        """In a terminal, draw a line and a table, as `text` gives them now and every second."""
        self._text = text
        if self._console.is_terminal:
            self._live.refresh()

    def tell(self, line: str) -> None:
        """Print a line where nothing is drawn."""
        if not self._console.is_terminal:
            self._console.print(line)

    def print(
        self, tables: Iterable[tuple[str, pd.DataFrame]] = (), lines: Iterable[str] = ()
    ) -> None:
        """End the drawing; print tables with their titles, then lines."""
        self._live.stop()
        for title, table in tables:
            self._console.print(f"\n{title}", self._fitting(table))
        for line in lines:
            self._console.print(line)

    def _drawn(self) -> RenderableType:
        if self._text is None:
            return ""
        line, table = self._text()
        return Group(line, self._fitting(table))

    def _fitting(self, table: pd.DataFrame) -> Table:
        """Leave out columns from the right until the others have room."""
        unbounded = self._console.options.update(width=_WIDE)
        for n_columns in range(table.shape[1], 0, -1):
            drawn = _rich_table(table.iloc[:, :n_columns])
            if self._console.measure(drawn, options=unbounded).maximum <= self._console.width:
                break
        return drawn


def _rich_table(table: pd.DataFrame) -> Table:
    drawn = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for number, name in enumerate(table):
        drawn.add_column(str(name), justify="right" if number else "left", no_wrap=number > 0)
    for row in table.to_numpy(object).tolist():
        drawn.add_row(*row)
    return drawn
