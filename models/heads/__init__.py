"""The registry of heads: from an entry under ``heads`` in ``params.yaml`` to a regressor.

Adding a head is one module with a `Head` and one entry in `HEADS`; its settings are the parameters
of its constructor.
"""

import difflib
import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model

from models.heads.base import Choice, Head, MeanHead, Range
from models.heads.cost import estimated_cost
from models.heads.kernel import KernelRidgeHead, SVRHead
from models.heads.lightgbm import LightGBMHead
from models.heads.linear import RidgeHead
from models.heads.mlp import MLPHead
from models.heads.sklearn_heads import (
    ElasticNetHead,
    LinearSVRHead,
    NeighboursHead,
    PLSHead,
    RandomTreesHead,
)

__all__ = ["HEADS", "Head", "check_spec", "estimated_cost", "make_head", "search_space"]

HEADS: dict[str, type[Head]] = {
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


class HeadSpec(BaseModel):
    """What the entries of all kinds have in common; unknown keys are refused.

    Attributes
    ----------
    kind : str
        A key of `HEADS`. The other fields are the settings of that head.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: str

    @property
    def settings(self) -> dict[str, Any]:
        """The settings by name, defaults included."""
        return {name: value for name, value in self if name != "kind"}


def check_spec(entry: Mapping[str, Any]) -> HeadSpec:
    """Check an entry of ``heads`` in ``params.yaml``; ``{"kind": ...}`` is enough.

    A ValueError (such as pydantic's ValidationError) names an unknown kind with the nearest known
    one, an unknown key or a value out of bounds.
    """
    return _spec_class(_head_class(str(entry.get("kind")))).model_validate(dict(entry))


def make_head(spec: HeadSpec | Mapping[str, Any], seed: int, bands: tuple[int, ...] = ()) -> Head:
    """Build an unfitted head.

    Parameters
    ----------
    spec : HeadSpec or mapping
        A mapping is checked first, by `check_spec`, with its errors.
    seed : int
        Given to heads that draw random numbers.
    bands : tuple of int
        Number of columns of each encoder in the view.
    """
    checked = check_spec(spec) if isinstance(spec, Mapping) else spec
    head_class = _head_class(checked.kind)
    names = inspect.signature(head_class).parameters
    given: dict[str, Any] = {"seed": seed, "bands": bands}
    return head_class(
        **checked.settings, **{name: value for name, value in given.items() if name in names}
    )


def search_space(kind: str) -> dict[str, Range | Choice]:
    """Return what a search ranges over, by setting; empty for heads that choose by themselves."""
    return {
        name: each
        for name, (hint, _) in _settings(_head_class(kind)).items()
        for each in get_args(hint)[1:]
        if isinstance(each, Range | Choice)
    }


def _head_class(kind: str) -> type[Head]:
    if kind in HEADS:
        return HEADS[kind]
    nearest = difflib.get_close_matches(kind, HEADS, n=1, cutoff=0.5)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    raise ValueError(f"unknown head kind {kind!r}.{hint} Known kinds: {', '.join(sorted(HEADS))}.")


@cache
def _spec_class(head_class: type[Head]) -> type[HeadSpec]:
    """Make the type of entries of a head, from the signature of its constructor."""
    kind = next(kind for kind, each in HEADS.items() if each is head_class)
    name = f"{head_class.__name__.removesuffix('Head')}Spec"
    fields: dict[str, Any] = {"kind": (Literal[kind], kind), **_settings(head_class)}
    return create_model(name, __base__=HeadSpec, **fields)


def _settings(head_class: type[Head]) -> dict[str, Any]:
    """Types, with their bounds, and defaults of the settings of a head."""
    hints = get_type_hints(head_class.__init__, include_extras=True)
    parameters = inspect.signature(head_class).parameters
    return {
        name: (hints[name], parameter.default)
        for name, parameter in parameters.items()
        if name not in GIVEN
    }
