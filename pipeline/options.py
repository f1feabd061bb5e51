"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

ParamsFile = Annotated[Path, typer.Option("--params", help="The parameters to use.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def names_of(text: str | None) -> list[str] | None:
    """Take names apart that are joined by commas; None for an option that was not given."""
    return None if text is None else [name.strip() for name in text.split(",")]
