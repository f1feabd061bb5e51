"""What commands share: options, and tables of text in a terminal."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import pandas as pd
import typer

if TYPE_CHECKING:  # rich takes its time, and help or JSON can do without it
    from rich.console import Console
    from rich.table import Table

On = Annotated[
    str | None,
    typer.Option(help="Where: ray, ray://host:port; default `execution.cluster`, or here."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]

TitledTable = tuple[str, pd.DataFrame]

_WIDE = 1000
"""Width of what is no terminal: no column is cut there."""


def names_of(text: str | None) -> list[str] | None:
    """Take names apart that are joined by commas; None for an option that was not given."""
    return None if text is None else [name.strip() for name in text.split(",")]


def say(as_json: bool, content: object, lines: Iterable[str]) -> None:
    """Print content as JSON for machines, or lines of text."""
    print(json.dumps(content, indent=2) if as_json else "\n".join(lines))


def print_tables(tables: Iterable[TitledTable], lines: Iterable[str] = ()) -> None:
    """Print tables with their titles, then lines; a terminal has the columns that have room."""
    console = _console()
    for title, table in tables:
        console.print(f"\n{title}", _drawn(table, console))
    for line in lines:
        console.print(line)


@contextmanager
def drawn_anew(text: Callable[[], TitledTable]) -> Iterator[Callable[[], None] | None]:
    """Draw a line and a table while a block runs, every second; in the end they disappear.

    Yields
    ------
    callable, or None
        Draws at once. None where this is no terminal, and nothing is drawn.
    """
    from rich.console import Group, RenderableType
    from rich.live import Live

    console = _console()

    def drawing() -> RenderableType:
        line, table = text()
        return Group(line, _drawn(table, console))

    if not console.is_terminal:
        yield None
        return
    with Live(
        get_renderable=drawing, console=console, transient=True, refresh_per_second=1
    ) as live:
        yield live.refresh


def _console() -> "Console":
    from rich.console import Console

    console = Console(markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = _WIDE
    return console


def _drawn(table: pd.DataFrame, console: "Console") -> "Table":
    """Draw a table, without the columns from the right that have no room."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    unbounded = console.options.update(width=_WIDE)
    for n_columns in range(table.shape[1], 0, -1):
        drawn = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
        for number, name in enumerate(table.columns[:n_columns]):
            drawn.add_column(str(name), justify="right" if number else "left", no_wrap=number > 0)
        for row in table.iloc[:, :n_columns].to_numpy(object).tolist():
            drawn.add_row(*row)
        if console.measure(drawn, options=unbounded).maximum <= console.width:
            break
    return drawn
