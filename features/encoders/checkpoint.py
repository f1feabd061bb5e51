"""Checkpoints as people have them: read without running code, fitted into a network by names.

A training run wraps its network (``module.``, ``backbone.``), nests the numbers in other things
(``state_dict``, ``model``), and has another head. So every set of named tensors in a file is looked
through for a prefix under which it has the network's own names.
"""

import pickle
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch

from features.errors import EncoderError

State = dict[str, torch.Tensor]
"""Tensors by name, as ``state_dict`` gives them."""

_CALLED = {
    ("_codecs", "encode"),
    ("builtins", "set"),
    ("collections", "OrderedDict"),
    ("torch", "Size"),
    ("torch", "device"),
    ("torch.nn.parameter", "Parameter"),
    *(
        ("torch._utils", f"_rebuild_{what}")
        for what in ("parameter", "parameter_with_state", "tensor", "tensor_v2")
    ),
}
"""All that is called while a file is read: what tensors are made of."""

_HEADS = {"classifier", "fc", "head", "head_dist", "heads", "last_linear", "logits"}
_NO_WEIGHTS = {"mask_token", "num_batches_tracked", "total_ops", "total_params"}
_EMA = re.compile(r"(^|[._])ema([._]|$)")
_N_SHOWN = 5


def load_trunk(network: torch.nn.Module, path: Path, convert: Callable[[State], State]) -> str:
    """Load all of a network without head from a checkpoint, or nothing.

    Parameters
    ----------
    network : torch.nn.Module
        Every entry of it has to be in the file, but for heads that only help to train.
    path : Path
        Of safetensors, or of ``torch.save``.
    convert : callable
        From tensors under other names or in older shapes to those of the network.

    Returns
    -------
    str
        What of the file was taken and what was left out, in a line; empty when all was taken.

    Raises
    ------
    EncoderError
        When the file holds a pickled network.
    ValueError
        When it holds no tensors, or they do not fit.
    """
    wanted = {
        name: value
        for name, value in network.state_dict().items()
        if not name.lower().startswith("aux")
    }
    found = _find(read_states(path), wanted, _children(network))
    state = convert(found.state)
    _check_fits(state, wanted)
    network.load_state_dict({name: state[name] for name in wanted if name in state}, strict=False)
    rest = [name for name in (found.state if found.is_named else state) if name not in wanted]
    modules = dict.fromkeys(
        name.rpartition(".")[0] or name
        for name in [*rest, *found.outside]
        if name.rpartition(".")[2] not in _NO_WEIGHTS
    )
    said = [f"took `{found.place}`"] if found.place else []
    said += [f"left out {_shown(list(modules))}"] if modules else []
    return f"{path}: {', '.join(said)}" if said else ""


def read_states(path: Path) -> dict[str, State]:
    """Read every set of named tensors in a file, by the place where it is nested.

    Of other Python objects in it (settings of the training run, say) only an empty shell is made.

    Raises
    ------
    EncoderError
        When the file holds a pickled network.
    ValueError
        When it cannot be read, or there are no tensors in it.
    """
    with path.open("rb") as file:
        is_safetensors = file.read(9)[8:] == b"{"
    if is_safetensors:
        from safetensors.torch import load_file

        return {"": load_file(path)}
    content, others = _read_torch(path)
    states = {place: state for place, state in _states(content) if state}
    if states:
        return states
    for place, value in [("", content), *(content.items() if isinstance(content, dict) else [])]:
        if isinstance(value, _Shell) and value.is_network:
            item = f"[{place!r}]" if place else ""
            raise EncoderError(
                f"{path} holds a pickled network ({type(value).__name__}), which is code, and not "
                "its numbers alone. Where its class can be imported, and if you trust the file, "
                f'convert it: python -c "import torch; network = torch.load({str(path)!r}, '
                f"weights_only=False){item}; torch.save(network.state_dict(), 'weights.pth')\" "
                "and set `weights: weights.pth`."
            )
    what = f", but {_shown(others)}" if others else ""
    raise ValueError(f"it holds no tensors by name{what}.")


class _Found(NamedTuple):
    """The tensors that belong to a network.

    Attributes: where they are; by the network's names; whether most of those were found; and the
    names beside them.
    """

    place: str
    state: State
    is_named: bool
    outside: list[str]


class _Shell(dict[Any, Any]):
    """Stands for an object of a class that is not needed: whatever is done to it does nothing."""

    is_network = False
    __hash__ = object.__hash__  # type: ignore[assignment]  # some are keys

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def __call__(self, *_: Any, **__: Any) -> "_Shell":
        return _Shell()

    append = extend = __call__

    def __setstate__(self, state: Any) -> None:
        self.is_network = isinstance(state, dict) and "_modules" in state


def _read_torch(path: Path) -> tuple[Any, list[str]]:
    """Read what ``torch.save`` wrote, and name the classes and functions that were not called."""
    names: list[str] = []

    class Reader(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            is_dtype = module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)
            if is_dtype or (module, name) in _CALLED:
                return super().find_class(module, name)
            names.append(f"{module}.{name}")
            return type(names[-1], (_Shell,), {})

    def load(file: Any, **more: Any) -> Any:
        return Reader(file, **more).load()

    reader = SimpleNamespace(__name__="reader", Unpickler=Reader, load=load)
    try:
        if zipfile.is_zipfile(path) and any(
            name.endswith("/constants.pkl") for name in zipfile.ZipFile(path).namelist()
        ):
            raise ValueError("it is TorchScript: save torch.jit.load(path).state_dict() instead.")
        return torch.load(path, "cpu", pickle_module=reader, weights_only=False), names
    except ValueError:
        raise
    except Exception as error:  # pickle, zip and torch each raise their own
        raise ValueError(
            "it is cut short or of another format: expected a state dict, of safetensors or "
            "torch.save."
        ) from error


def _states(content: Any, place: str = "") -> Iterator[tuple[str, State]]:
    if isinstance(content, Mapping):
        yield place, {str(k): v for k, v in content.items() if isinstance(v, torch.Tensor)}
        for key, value in content.items():
            yield from _states(value, f"{place}.{key}" if place else str(key))


def _find(states: dict[str, State], wanted: State, children: dict[str, str]) -> _Found:
    """Find the prefix, of whichever state, under which the most of the wanted names are."""
    counts: Counter[tuple[str, str, bool]] = Counter()
    for place, state in states.items():
        for is_numbered in (False, True):
            for name in wanted:
                first, dot, last = name.partition(".")
                end = f"{children.get(first, first)}{dot}{last}" if is_numbered else name
                for key in state:
                    if key.endswith(end) and key.removesuffix(end)[-1:] in ("", "."):
                        counts[place, key.removesuffix(end), is_numbered] += 1
    most = max(counts.values(), default=0)
    if most < len(wanted) / 2:  # names of another library, which may know how to convert them
        place = max(states, key=lambda each: len(states[each]))
        plain = {re.sub(r"^(module\.|_orig_mod\.)+", "", k): v for k, v in states[place].items()}
        return _Found(place, plain, is_named=False, outside=[])
    best = [each for each, count in counts.items() if count == most]
    best = [each for each in best if _EMA.search(f"{each[0]}.{each[1]}")] or best
    names = {number: name for name, number in children.items()}
    taken = []
    for place, prefix, is_numbered in best:
        state = {
            k.removeprefix(prefix): v for k, v in states[place].items() if k.startswith(prefix)
        }
        if is_numbered:
            parts = ((k.partition("."), v) for k, v in state.items())
            state = {f"{names.get(p[0], p[0])}{p[1]}{p[2]}": v for p, v in parts}
        outside = [k for k in states[place] if not k.startswith(prefix)]
        full = ".".join(filter(None, [place, prefix.removesuffix(".")]))
        taken.append(_Found(full, state, is_named=True, outside=outside))
    for other in taken[1:]:
        if any(not _equal(taken[0].state, other.state, name) for name in wanted):
            raise ValueError(
                f"it holds several such networks, {_shown([each.place for each in taken])}: save "
                "the state dict of one."
            )
    return taken[0]


def _equal(one: State, other: State, name: str) -> bool:
    if name not in one or name not in other:
        return name not in one and name not in other
    return torch.equal(one[name], other[name])


def _children(network: torch.nn.Module) -> dict[str, str]:
    """Names of the network's parts to what ``Sequential(*network.children())`` calls them."""
    return {name: str(k) for k, (name, _) in enumerate(network.named_children())}


def _check_fits(state: State, wanted: State) -> None:
    """Refuse what would leave part of the network random, or belongs to a larger one."""
    missing = [
        name for name in wanted if name not in state and not name.endswith("num_batches_tracked")
    ]
    if missing:
        raise ValueError(f"it lacks {len(missing)} of {len(wanted)} entries ({_shown(missing)}).")
    others = [
        f"{name} of shape {tuple(state[name].shape)} in the place of {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in state and state[name].shape != value.shape
    ]
    if others:
        raise ValueError(f"its shapes are others: {_shown(others)}.")
    larger = [name for name in state if name not in wanted and _is_trunk(name, state[name], wanted)]
    if larger:
        raise ValueError(f"it has unknown {len(larger)} entries ({_shown(larger)}).")


def _is_trunk(name: str, value: torch.Tensor, wanted: State) -> bool:
    """Whether an unknown entry would change embeddings: it is of a part that the network has."""
    parts = name.split(".")
    if parts[-1] in _NO_WEIGHTS or not value.is_floating_point() or _HEADS & set(parts[:2]):
        return False
    tops = {re.sub(r"\d+$", "", each.partition(".")[0]) for each in wanted}
    return len(parts) == 1 or re.sub(r"\d+$", "", parts[0]) in tops


def _shown(names: list[str]) -> str:
    return ", ".join(names[:_N_SHOWN]) + (" …" if len(names) > _N_SHOWN else "")
