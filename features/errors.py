"""What can go wrong with clips and encoders: the one costs a clip, the other ends a run."""

import difflib
from collections.abc import Sequence


class MediaError(Exception):
    """A clip that cannot be used, with the step that failed and the reason.

    Parameters
    ----------
    step : str
        What was being done: ``read``, ``probe``, ``decode``, ``face``, ``encode``; or what was not
        there: ``stream`` of the wanted kind in a clip that is whole, ``weights`` of the encoder.
    reason : str
        What was wrong, for a person to read.
    """

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(step, reason)  # both, so that the error survives pickling
        self.step = step
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.step}: {self.reason}"


class EncoderError(Exception):
    """An encoder that cannot be had as described: its model, its tag or its weights."""


def nearest(name: str, known: Sequence[str]) -> str:
    """Name the nearest known name, if one is near, and all of them: the end of a message."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return f"{hint} Known: {', '.join(known)}"


class ClusterError(Exception):
    """A cluster that cannot be had, or whose machines cannot do the work; says what to do."""
