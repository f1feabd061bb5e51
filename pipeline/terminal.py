"""What commands share: options, and tables of text in a terminal."""

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Annotated

import pandas as pd
import typer

On = Annotated[
    str | None,
    typer.Option(help="Where: ray, ray://host:port; default `execution.cluster`, or here."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]

TitledTable = tuple[str, pd.DataFrame]


def names_of(text: str | None) -> list[str] | None:
    """Take names apart that are joined by commas; None for an option that was not given."""
    return None if text is None else [name.strip() for name in text.split(",")]


def say(as_json: bool, content: object, lines: Iterable[str]) -> None:
    """Print content as JSON for machines, or lines of text."""
    print(json.dumps(content, indent=2) if as_json else "\n".join(lines))


def print_tables(tables: Iterable[TitledTable], lines: Iterable[str] = ()) -> None:
    """Print tables with their titles, then lines; a terminal has the columns that have room."""
    print(*(f"\n{title}\n\n{_drawn(table)}\n" for title, table in tables), *lines, sep="\n")


@contextmanager
def drawn_anew(text: Callable[[], TitledTable]) -> Iterator[Callable[[], None] | None]:
    """Draw a line and a table while a block runs, every second; in the end they disappear.

    Yields
    ------
    callable, or None
        Draws at once. None where this is no terminal, and nothing is drawn.
    """
    from rich.live import Live
    from rich.text import Text

    def drawing() -> Text:
        line, table = text()
        return Text(f"{line}\n\n{_drawn(table)}", no_wrap=True)

    if not sys.stdout.isatty():
        yield None
        return
    with Live(get_renderable=drawing, transient=True, refresh_per_second=1) as live:
        yield live.refresh


def _drawn(table: pd.DataFrame) -> str:
    """Draw a table; in a terminal without the columns from the right that have no room."""
    text, n_columns = table.to_string(index=False), table.shape[1]
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else len(text)
    while n_columns > 1 and text.index("\n") > width:
        n_columns -= 1
        text = table.iloc[:, :n_columns].to_string(index=False)
    return text
