"""Names joined by commas on a command line."""

from collections.abc import Collection

import typer


def known_names(text: str, known: Collection[str]) -> list[str]:
    """Split names, each of which has to be known.

    Raises
    ------
    typer.BadParameter
        When one is not.
    """
    names = text.split(",")
    unknown = [name for name in names if name not in known]
    if unknown:
        raise typer.BadParameter(f"unknown: {unknown}; expected some of {','.join(known)}")
    return names
