"""Moved: see `pipeline.options`."""

from pipeline.options import Json, ParamsFile, names_of

__all__ = ["Json", "ParamsFile", "names_of"]
