"""The registry of heads: from a kind and its settings to a regressor.

Adding a head is one module with a `Head` and one entry in `HEADS`; its settings are read from the
signature of its constructor.
"""

import difflib
import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model

from models.heads.banded_ridge import BandedRidgeHead
from models.heads.base import Head
from models.heads.elastic_net import ElasticNetHead
from models.heads.kernel_ridge import KernelRidgeHead
from models.heads.lightgbm import LightGBMHead
from models.heads.linear_svr import LinearSVRHead
from models.heads.mean import MeanHead
from models.heads.mlp import MLPHead
from models.heads.neighbours import NeighboursHead
from models.heads.pls import PLSHead
from models.heads.random_trees import RandomTreesHead
from models.heads.ridge import RidgeHead
from models.heads.search import Choice, Range
from models.heads.svr import SVRHead

__all__ = ["HEADS", "Head", "head_settings", "make_head", "search_space"]

HEADS: dict[str, type[Head]] = {
    "banded_ridge": BandedRidgeHead,
    "elastic_net": ElasticNetHead,
    "kernel_ridge": KernelRidgeHead,
    "lightgbm": LightGBMHead,
    "linear_svr": LinearSVRHead,
    "mean": MeanHead,
    "mlp": MLPHead,
    "neighbours": NeighboursHead,
    "pls": PLSHead,
    "random_trees": RandomTreesHead,
    "ridge": RidgeHead,
    "svr": SVRHead,
}
"""Head class of each kind."""

GIVEN = frozenset({"bands", "seed"})
"""Constructor parameters that are no settings: the run gives them, the view and its seed."""


@cache
def head_settings(kind: str) -> type[BaseModel]:
    """Return the settings of a head as a model: its constructor's parameters but those of `GIVEN`.

    Types, bounds and defaults are those of the signature; unknown keys are refused.

    Raises
    ------
    ValueError
        When the kind is unknown; names the nearest known one.
    """
    head_class = _head_class(kind)
    parameters = inspect.signature(head_class).parameters
    fields: dict[str, Any] = {
        name: (hint, parameters[name].default) for name, hint in _hints(head_class).items()
    }
    config = ConfigDict(extra="forbid", frozen=True)
    return create_model(f"{head_class.__name__}Settings", __config__=config, **fields)


def search_space(kind: str) -> dict[str, Range | Choice]:
    """Return what a search ranges over, by setting; empty for heads that choose by themselves.

    Raises
    ------
    ValueError
        When the kind is unknown; names the nearest known one.
    """
    return {
        name: each
        for name, hint in _hints(_head_class(kind)).items()
        for each in get_args(hint)[1:]
        if isinstance(each, Range | Choice)
    }


def make_head(
    kind: str, settings: Mapping[str, Any], seed: int, bands: tuple[int, ...] = ()
) -> Head:
    """Build an unfitted head.

    Parameters
    ----------
    kind : str
        A key of `HEADS`.
    settings : mapping
        Values for `head_settings(kind)`; defaults fill the rest.
    seed : int
        Given to heads that draw random numbers.
    bands : tuple of int
        Number of columns of each encoder in the view; given to heads that know encoders apart.

    Raises
    ------
    ValueError
        When the kind is unknown, or a setting is unknown or out of bounds (pydantic's
        ValidationError is a ValueError).
    """
    head_class = _head_class(kind)
    parameters = dict(head_settings(kind).model_validate(dict(settings)))
    given = {"seed": seed, "bands": bands}
    names = inspect.signature(head_class).parameters
    parameters |= {name: value for name, value in given.items() if name in names}
    return head_class(**parameters)


def _hints(head_class: type[Head]) -> dict[str, Any]:
    """Annotated types of the settings of a head."""
    hints = get_type_hints(head_class.__init__, include_extras=True)
    return {
        name: hints[name] for name in inspect.signature(head_class).parameters if name not in GIVEN
    }


def _head_class(kind: str) -> type[Head]:
    if kind in HEADS:
        return HEADS[kind]
    nearest = difflib.get_close_matches(kind, HEADS, n=1, cutoff=0.5)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    raise ValueError(f"unknown head kind {kind!r}.{hint} Known kinds: {', '.join(sorted(HEADS))}.")
