"""`eri compare`: which heads on which features, with what certainty."""

from pipeline.compare.api import compare
from pipeline.compare.plan import Request

__all__ = ["Request", "compare"]
