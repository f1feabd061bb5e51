"""The comparison in one call, for notebooks and scripts."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from pipeline.compare.board import Board
from pipeline.compare.plan import Request, Split
from pipeline.compare.run import TIME_LIMIT_S, run
from pipeline.paths import PARAMS


def compare(
    encoders: Sequence[str] | None = None,
    heads: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    pooling: str | None = None,
    split: Split | None = None,
    params: Path = PARAMS,
    time_limit_s: float = TIME_LIMIT_S,
    on_change: Callable[[Board], None] | None = None,
) -> pd.DataFrame:
    """Fit heads on views, and rank them; what was fitted before is not fitted again.

    To be called in the root of the repository, after `dvc repro` made the clip vectors.

    Parameters
    ----------
    encoders, heads, targets, pooling, split, params
        As in `Request`; by default all that `params.yaml` has.
    time_limit_s : float
        Longest time for one head on one view, without loading the view.
    on_change : callable, optional
        Called with the board whenever something is new on it; ``board.table()`` is the leaderboard
        so far.

    Returns
    -------
    DataFrame
        As `Board.table`: every head on every view, two baselines and the stack of the heads, best
        first; then what failed, with the reason in ``error``.

    Raises
    ------
    ParamsError
        For a name that is not known, or settings that are wrong.
    StoreError
        When the clip vectors of an encoder are missing.

    Examples
    --------
    >>> from pipeline.compare import compare
    >>> compare(encoders=["egemaps"], heads=["ridge"])  # doctest: +SKIP
    """
    request = Request(encoders, heads, targets, pooling, split, params=params)
    for board in run(request, time_limit_s):
        if on_change is not None:
            on_change(board)
    return board.table()
