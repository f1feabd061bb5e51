"""How long a call takes."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Return the seconds that a call took, and its result."""
    began_s = time.perf_counter()
    result = work()
    return time.perf_counter() - began_s, result
