"""What a search over a head's settings ranges over; declared beside the settings themselves."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    """Numbers between two ends, both included; whole ones where the setting is.

    To be put into the annotation of a constructor's parameter, as ``Annotated[float, Range(...)]``.

    Attributes
    ----------
    low, high : float
    log : bool
        Whether factors matter, not differences.
    """

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Choice:
    """One of some values; to be put into the annotation of a constructor's parameter."""

    values: tuple[str | int | float, ...]
