"""Files that are replaced whole: a reader, or a kill in between, never meets half of one."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def replace_file(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file beside its place, then rename it.

    Parameters
    ----------
    path : Path
        The file; its folder exists.
    write : callable
        Is given the path to write to. When it raises, the file at `path` stays as it was.
    """
    beside = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        write(beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
