"""Numbers as the report writes them: signed where the sign matters, and never ``nan``."""

import math

MISSING = "n/a"


def signed(value: float | None, digits: int = 3) -> str:
    """Write a number with its sign; the minus is a true one, which is as wide as the plus."""
    if is_missing(value):
        return MISSING
    assert value is not None
    rounded = round(float(value), digits) + 0.0  # no -0.000
    return f"{rounded:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def plain(value: float | None, digits: int = 3) -> str:
    """Write a number that has no sign to speak of."""
    return MISSING if is_missing(value) else signed(value, digits).removeprefix("+")


def interval(low: float | None, high: float | None, digits: int = 3) -> str:
    """Write an interval by its ends."""
    if is_missing(low) or is_missing(high):
        return "no interval"
    return f"[{signed(low, digits)}, {signed(high, digits)}]"


def is_missing(value: object) -> bool:
    """Tell whether there is no number: None, NaN, or not finite."""
    return not isinstance(value, int | float) or not math.isfinite(value)
