"""A progress bar on standard error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def clip_progress(what: str, n_clips: int, *, shown: bool) -> Iterator[Callable[[], None]]:
    """Show how many clips are done, and the time left.

    Parameters
    ----------
    what : str
        What is done to them.
    n_clips : int
        How many there are.
    shown : bool
        False: show nothing.

    Yields
    ------
    callable
        To be called when a clip is done.
    """
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not shown or not n_clips) as progress:
        bar = progress.add_task(what, total=n_clips)
        yield lambda: progress.advance(bar)
