"""Checkpoints as people have them: read without running code, fitted into a network by names.

A training run wraps its network (``module.``, ``backbone.``), nests the numbers in other things
(``state_dict``, ``model``), and has another head. So every set of named tensors in a file is looked
through for a prefix under which it has the network's own names.
"""

import pickle
import re
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from features.errors import EncoderError

State = dict[str, torch.Tensor]
"""Tensors by name, as ``state_dict`` gives them."""

_CALLED = re.compile(
    r"torch\._utils\._rebuild_(parameter(_with_state)?|tensor(_v2)?)|torch\.nn\.parameter\.Parameter"
    r"|torch\.(Size|device)|collections\.OrderedDict|builtins\.set|_codecs\.encode"
)
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
        Of safetensors, of ``torch.save``, or of ``numpy.savez``.
    convert : callable
        From tensors under other names or in older shapes to those of the network.

    Returns
    -------
    str
        What of the file was taken and what was left out, in a line; empty when all was taken.

    Raises
    ------
    EncoderError
        When the file holds a pickled network, or a LoRA adapter.
    ValueError
        When it holds no tensors, or they do not fit.
    """
    entries = network.state_dict().items()
    wanted = {name: value for name, value in entries if not name.lower().startswith("aux")}
    states = _read_states(path)
    if any("lora_" in name.lower() for state in states.values() for name in state):
        raise EncoderError(
            f"{path} holds a LoRA adapter, which only adds to another network's weights: merge "
            "both, `PeftModel.from_pretrained(network, FOLDER).merge_and_unload()`, save the "
            "result's state dict, and name that file"
        )
    place, found, outside = _find(states, wanted, network)
    state = convert(found)
    _check_fits(state, wanted)
    network.load_state_dict({name: state[name] for name in wanted if name in state}, strict=False)
    left = [name for name in [*state, *outside] if name not in wanted]
    modules = dict.fromkeys(
        name.rpartition(".")[0] or name
        for name in left
        if name.rpartition(".")[2] not in _NO_WEIGHTS
    )
    said = [f"took `{place}`"] if place else []
    said += [f"left out {_shown(list(modules))}"] if modules else []
    return f"{path}: {', '.join(said)}" if said else ""


def _read_states(path: Path) -> dict[str, State]:
    """Read every set of named tensors in a file, by the place where it is nested.

    Of other Python objects in it (settings of the training run, say) only an empty shell is made.
    """
    with path.open("rb") as file:
        is_safetensors = file.read(9)[8:] == b"{"
    if is_safetensors:
        from safetensors.torch import load_file

        return {"": load_file(path)}
    if zipfile.is_zipfile(path) and all(
        name.endswith(".npy") for name in zipfile.ZipFile(path).namelist()
    ):
        return {"": _read_numpy(path)}
    content, others = _read_torch(path)
    places = list(_places(content))
    states = {place: state for place, value in places if (state := _tensors(value))}
    if states:
        return states
    for place, value in places:
        if isinstance(value, _Shell) and value.is_network:
            item = "".join(f"[{key!r}]" for key in place.split(".") if key)
            raise EncoderError(
                f"{path} holds a pickled network ({type(value).__name__}), which is code, and not "
                "its numbers alone. Where its class can be imported, and if you trust the file, "
                f'convert it: python -c "import torch; network = torch.load({str(path)!r}, '
                f"weights_only=False){item}; torch.save(network.state_dict(), 'weights.pth')\" "
                "and set `weights: weights.pth`."
            )
    what = f", but {_shown(others)}" if others else ""
    raise ValueError(f"it holds no tensors by name{what}.")


def _read_numpy(path: Path) -> State:
    with np.load(path, allow_pickle=False) as arrays:
        state = {name: torch.from_numpy(np.asarray(arrays[name])) for name in arrays}
    if any("/" in name for name in state):
        raise ValueError(
            "its names are of JAX: where timm knows them, `network = timm.create_model(MODEL)`, "
            "`network.load_pretrained(FILE)` and `torch.save(network.state_dict(), 'weights.pth')` "
            "convert it."
        )
    return state


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
            if is_dtype or _CALLED.fullmatch(f"{module}.{name}"):
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
            "it is cut short or of another format: expected a state dict, of safetensors, "
            "torch.save or numpy.savez."
        ) from error


def _places(content: Any, place: str = "") -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """Yield every mapping in what was read, with the keys that lead to it."""
    if isinstance(content, Mapping):
        yield place, content
        for key, value in content.items():
            yield from _places(value, f"{place}.{key}" if place else str(key))


def _tensors(content: Mapping[Any, Any]) -> State:
    return {str(key): v for key, v in content.items() if isinstance(v, torch.Tensor)}


def _find(
    states: dict[str, State], wanted: State, network: torch.nn.Module
) -> tuple[str, State, list[str]]:
    """Find the prefix, in whichever state, under which the most of the wanted names are.

    Returns where that is, what is there by the network's names, and the names beside it.
    """
    numbers = {name: str(k) for k, (name, _) in enumerate(network.named_children())}
    in_sequential = {_renamed(name, numbers): name for name in wanted}  # of its children
    found: dict[tuple[str, str, bool], State] = defaultdict(dict)
    for place, state in states.items():
        for key, value in state.items():
            parts = key.split(".")
            for k in range(len(parts)):
                prefix, end = ".".join(parts[:k]), ".".join(parts[k:])
                if end in wanted:
                    found[place, prefix, False][end] = value
                if end in in_sequential:
                    found[place, prefix, True][in_sequential[end]] = value
    most = max(map(len, found.values()), default=0)
    if most < len(wanted) / 2:  # names of another library, which may know how to convert them
        place = max(states, key=lambda each: len(states[each]))
        plain = {re.sub(r"^(module\.|_orig_mod\.)+", "", k): v for k, v in states[place].items()}
        return place, plain, []
    best = [each for each, state in found.items() if len(state) == most]
    best = [each for each in best if _EMA.search(f"{each[0]}.{each[1]}")] or best
    full = [".".join(filter(None, each[:2])) for each in best]
    if any(not _equal(found[best[0]], found[other]) for other in best[1:]):
        raise ValueError(
            f"it holds several such networks, {_shown(full)}: save the state dict of one."
        )
    place, prefix, is_numbered = best[0]
    start = f"{prefix}." if prefix else ""
    names = {number: name for name, number in numbers.items()} if is_numbered else {}
    inside = {
        _renamed(key.removeprefix(start), names): value
        for key, value in states[place].items()
        if key.startswith(start)
    }
    return full[0], inside, [key for key in states[place] if not key.startswith(start)]


def _renamed(name: str, firsts: dict[str, str]) -> str:
    first, dot, rest = name.partition(".")
    return f"{firsts.get(first, first)}{dot}{rest}"


def _equal(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


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
