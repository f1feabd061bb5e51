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

import torch

State = dict[str, torch.Tensor]
"""Tensors by name, as ``state_dict`` gives them."""

_CALLED = re.compile(
    r"torch\._utils\._rebuild_(parameter(_with_state)?|tensor(_v2)?)|torch\.nn\.parameter\.Parameter"
    r"|torch\.(Size|device)|collections\.OrderedDict|builtins\.set|_codecs\.encode"
)
"""All that is called while a file is read: what tensors are made of."""

_HEADS = {"classifier", "fc", "head", "head_dist", "heads", "last_linear", "logits"}
_NO_WEIGHTS = {"mask_token", "num_batches_tracked", "total_ops", "total_params"}
_AVERAGE = re.compile(r"(^|[._])ema([._]|$)", re.IGNORECASE)
_MOST_UNPACKED = 20  # times a file's size; numbers that were learned hardly shrink
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
        What of the file was taken and left out, in a line; empty when all was taken.

    Raises
    ------
    ValueError
        When it holds no tensors, or they do not fit; with what to do.
    """
    entries = network.state_dict().items()
    wanted = {name: value for name, value in entries if not name.lower().startswith("aux")}
    place, found, outside = _find(_read_states(path), wanted, network)
    state = convert(found)
    _check_fits(state, wanted)
    network.load_state_dict({name: state[name] for name in wanted if name in state}, strict=False)
    parts = [name.rpartition(".") for name in [*state, *outside] if name not in wanted]
    left = dict.fromkeys(part or name for part, _, name in parts if name not in _NO_WEIGHTS)
    done = {"took": [f"`{place}`"] * bool(place), "left out": list(left)}
    said = ", ".join(f"{what} {_shown(names)}" for what, names in done.items() if names)
    return f"{path}: {said}" if said else ""


def _read_states(path: Path) -> dict[str, State]:
    """Read every set of named tensors in a file, by the place where it is nested."""
    with path.open("rb") as file:
        is_safetensors = file.read(9)[8:] == b"{"
    if is_safetensors:
        from safetensors.torch import load_file

        states = {"": load_file(path)}
    else:
        content, others = _read_torch(path)
        every = {
            place: {str(name): v for name, v in value.items() if isinstance(v, torch.Tensor)}
            for place, value in _places(content)
        }
        states = {place: state for place, state in every.items() if state}
        if not states and others:
            raise ValueError(
                f"it holds no tensors by name, but objects ({_shown(others)}), whose code is not "
                "run here. A pickled network is converted where its class can be imported, if you "
                f"trust the file: `network = torch.load({str(path)!r}, weights_only=False)`, with "
                "`['model']` or the like behind it where that is nested, "
                "`torch.save(network.state_dict(), 'weights.pth')`, and `weights: weights.pth`."
            )
    if not any(states.values()):
        raise ValueError("it holds no tensors by name.")
    if any("lora_" in name.lower() for state in states.values() for name in state):
        raise ValueError(
            "it holds a LoRA adapter, which only adds to another network's weights: merge both, "
            "`PeftModel.from_pretrained(network, FOLDER).merge_and_unload()`, save the result's "
            "state dict, and name that file."
        )
    return states


class _Shell(dict[Any, Any]):
    """Stands for an object of a class that is not needed: whatever is done to it does nothing."""

    __hash__ = object.__hash__  # type: ignore[assignment]  # some are keys

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def __call__(self, *_: Any, **__: Any) -> "_Shell":
        return _Shell()

    append = extend = __setstate__ = __call__


def _read_torch(path: Path) -> tuple[Any, list[str]]:
    """Read what ``torch.save`` wrote, and name the classes and functions that were not called.

    Of such an object (settings of the training run, say) only an empty shell is made.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > _MOST_UNPACKED * path.stat().st_size:
            raise ValueError(f"it unpacks to more than {_MOST_UNPACKED} times its size.")
        if any(entry.filename.endswith("/constants.pkl") for entry in entries):
            raise ValueError("it is TorchScript: save torch.jit.load(path).state_dict() instead.")
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
        return torch.load(path, "cpu", pickle_module=reader, weights_only=False), names
    except Exception as error:  # pickle, zip and torch each raise their own
        raise ValueError(
            "it is cut short, so copy it again, or of another format: expected a state dict, of "
            "safetensors or torch.save."
        ) from error


def _places(content: Any, place: str = "") -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """Yield every mapping in what was read, with the keys that lead to it.

    What an optimizer keeps of each tensor has the names of the network's own.
    """
    if isinstance(content, Mapping):
        yield place, content
    elif isinstance(content, list | tuple):
        content = dict(enumerate(content))
    else:
        return
    for key, value in content.items():
        if not str(key).lower().startswith("optim"):
            yield from _places(value, f"{place}.{key}" if place else str(key))


def _find(
    states: dict[str, State], wanted: State, network: torch.nn.Module
) -> tuple[str, State, list[str]]:
    """Find the prefix, in whichever state, under which the most of the wanted tensors are.

    Returns where that is, what is there by the network's names, and the names beside it.
    """
    namings = _namings(wanted, network)
    found: dict[tuple[str, str, int], State] = defaultdict(dict)
    for place, state in states.items():
        for key, value in state.items():
            parts = key.split(".")
            for k in range(len(parts)):
                prefix, end = ".".join(parts[:k]), ".".join(parts[k:])
                for number, named in enumerate(namings):
                    if (name := named(end)) in wanted and (name != end or number == 0):
                        found[place, prefix, number][name] = value
    n_named = {
        each: (sum(wanted[k].shape == v.shape for k, v in state.items()), len(state))
        for each, state in found.items()
    }
    most = max(n_named.values(), default=(0, 0))
    if most[1] < len(wanted) / 2:  # names of another library, which may know how to convert them
        place = max(states, key=lambda each: len(states[each]))
        plain = {re.sub(r"^(module\.|_orig_mod\.)+", "", k): v for k, v in states[place].items()}
        return place, plain, []
    best = [each for each, n in n_named.items() if n == most]
    best = [each for each in best if _AVERAGE.search(f"{each[0]}.{each[1]}")] or best
    full = [".".join(filter(None, each[:2])) for each in best]
    first, *others = (found[each] for each in best)
    pairs = ((first.get(name), value) for other in others for name, value in other.items())
    if any(mine is None or not torch.equal(mine, theirs) for mine, theirs in pairs):
        raise ValueError(
            f"it holds several such networks, {_shown(full)}: save the state dict of one."
        )
    place, prefix, number = best[0]
    start = f"{prefix}." if prefix else ""
    inside = {
        namings[number](key.removeprefix(start)): value
        for key, value in states[place].items()
        if key.startswith(start)
    }
    return full[0], inside, [key for key in states[place] if not key.startswith(start)]


def _namings(wanted: State, network: torch.nn.Module) -> list[Callable[[str], str]]:
    """Return what brings names in a file to the network's.

    They are its own; or its children were put into a Sequential, and have numbers; or the one child
    that has all that is wanted, such as ``features``, stands alone.
    """
    children = {str(k): name for k, (name, _) in enumerate(network.named_children())}
    tops, seconds = ({_kind(name, k) for name in wanted} for k in (0, 1))

    def from_numbers(name: str) -> str:
        first, dot, rest = name.partition(".")
        return f"{children.get(first, first)}{dot}{rest}"

    def from_only_child(name: str) -> str:
        return f"{min(tops)}.{name}" if len(tops) == 1 and _kind(name) in seconds else name

    return [str, from_numbers, from_only_child]


def _kind(name: str, depth: int = 0) -> str:
    """Return a part of a name without the number at its end: layer1 and layer2 are of a kind."""
    return re.sub(r"\d+$", "", f"{name}.".split(".")[depth])


def _check_fits(state: State, wanted: State) -> None:
    """Refuse what would leave part of the network random, or belongs to a larger one."""
    present = {name: state[name] for name in wanted if name in state}
    missing = [n for n in wanted if n not in present and not n.endswith("num_batches_tracked")]
    problems = {
        "its numbers are quantised, and those of before are needed": [
            name
            for name, value in present.items()
            if wanted[name].is_floating_point() and not value.is_floating_point()
        ],
        f"it lacks {len(missing)} of {len(wanted)} entries": missing,
        "its shapes are others": [
            f"{name} of shape {tuple(value.shape)} in the place of {tuple(wanted[name].shape)}"
            for name, value in present.items()
            if value.shape != wanted[name].shape
        ],
        "it has unknown entries": [
            name for name in state if name not in wanted and _is_trunk(name, state[name], wanted)
        ],
    }
    for problem, names in problems.items():
        if names:
            raise ValueError(
                f"{problem} ({_shown(names)}). Check that the file is whole, and set `model:` to "
                "the architecture it was saved from."
            )


def _is_trunk(name: str, value: torch.Tensor, wanted: State) -> bool:
    """Whether an unknown entry would change embeddings: it is of a part that the network has."""
    parts = name.split(".")
    if parts[-1] in _NO_WEIGHTS or not value.is_floating_point() or _HEADS & set(parts[:2]):
        return False
    return len(parts) == 1 or _kind(name) in {_kind(each) for each in wanted}


def _shown(names: list[str]) -> str:
    return ", ".join(names[:_N_SHOWN]) + (" …" if len(names) > _N_SHOWN else "")
