"""What commands share: options, and tables of text in a terminal."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import pandas as pd
import typer

if TYPE_CHECKING:  # rich takes its time, and help or JSON can do without it
    from rich.console import Console

On = Annotated[
    str | None,
    typer.Option(help="A cluster: ray, ray://host:port; default: `execution.cluster`, or here."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]

TitledTable = tuple[str, pd.DataFrame]


def names_of(text: str | None) -> list[str] | None:
    """Take names apart that are joined by commas; None for an option that was not given."""
    return None if text is None else [name.strip() for name in text.split(",")]


def say(as_json: bool, content: object, lines: Iterable[str]) -> None:
    """Print content as JSON for machines, or lines of text."""
    print(json.dumps(content, indent=2) if as_json else "\n".join(lines))


def print_table(title: str, table: pd.DataFrame, lines: Iterable[str]) -> None:
    """Print a table with its title, then lines; a terminal has the columns that have room."""
    console = _console()
    drawn = f"\n{title}\n\n{_drawn(table, console)}\n"
    console.print(drawn, *lines, sep="\n", soft_wrap=not console.is_terminal)


def _console() -> "Console":
    from rich.console import Console

    return Console(markup=False, highlight=False, emoji=False)


def _drawn(table: pd.DataFrame, console: "Console") -> str:
    """Draw a table; in a terminal without the columns from the right that have no room."""
    text, n_columns = table.to_string(index=False), table.shape[1]
    while console.is_terminal and n_columns > 1 and text.index("\n") > console.width:
        n_columns -= 1
        text = table.iloc[:, :n_columns].to_string(index=False)
    return text
