"""YAML files of settings: read, and what is wrong with them said in one line per fault."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from features.encoders import ENCODERS


class ParamsError(Exception):
    """`params.yaml` is missing or not as it should be; the message lists every fault."""


def read_keys(path: Path, model: type[BaseModel]) -> dict[str, Any]:
    """Read a YAML file of keys, those that `model` has.

    Raises
    ------
    ParamsError
        When the file is missing, is no YAML in UTF-8, holds no keys, or one of them twice.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except FileNotFoundError:
        raise ParamsError(f"there is no {path} here: run from the root of the repository") from None
    except UnicodeDecodeError as error:
        raise ParamsError(f"{path} is not UTF-8 ({error}): save it as UTF-8") from None
    except yaml.YAMLError as error:
        raise ParamsError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise ParamsError(f"{path} holds no keys: expected {list(model.model_fields)}")
    return content


def refuse(path: Path, faults: Sequence[str]) -> None:
    """Raise `ParamsError` with the faults of a file, one per line, if there are any."""
    if faults:
        raise ParamsError("\n".join([f"{path}: {len(faults)} fault(s)", *faults]))


def encoder_faults(content: Mapping[str, Any]) -> list[str]:
    """Check every entry of the section ``encoders`` against the spec of its kind."""
    return entry_faults(content, "encoders", {k: e.Spec for k, e in ENCODERS.items()})


def model_faults(model: type[BaseModel], values: Any, prefix: tuple[str, ...] = ()) -> list[str]:
    """Say in one line each what `model` has against the values, which stand below `prefix`."""
    try:
        model.model_validate(values)
    except ValidationError as error:
        faults = map(dict, error.errors())
        return [_fault(model, each, prefix) for each in faults if not _follows_from_others(each)]
    return []


def entry_faults(
    content: Mapping[str, Any],
    section: str,
    models: Mapping[str, type[BaseModel]],
    kind_is_setting: bool = True,
) -> list[str]:
    """Check every named entry of a section against the model that belongs to its kind.

    Parameters
    ----------
    content : mapping
        The whole file.
    section : str
        Its key.
    models : mapping of str to type of BaseModel
        By kind.
    kind_is_setting : bool
        Whether the models have the key ``kind`` themselves.
    """
    entries = content.get(section)
    if not isinstance(entries, dict):
        return []  # said already
    faults = []
    for name, entry in entries.items():
        if not isinstance(entry, dict):
            continue  # said already
        kind = str(entry.get("kind"))
        if kind not in models:
            hint = nearest(kind, list(models))
            faults.append(f"  {section}.{name}.kind: unknown kind {kind!r}{hint}")
            continue
        settings = entry if kind_is_setting else {k: v for k, v in entry.items() if k != "kind"}
        faults += model_faults(models[kind], settings, (section, str(name)))
    return faults


def nearest(name: str, known: Sequence[str]) -> str:
    """Name the nearest known name, if one is near, and all of them: the end of a message."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return f"{hint} Known: {', '.join(known)}"


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice: the first one would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                message = f"the key {key.value!r} stands there twice"
                raise yaml.constructor.ConstructorError(
                    problem=message, problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _fault(model: type[BaseModel], error: Mapping[str, Any], prefix: tuple[str, ...]) -> str:
    place = ".".join([*prefix, *map(str, error["loc"])])
    if error["type"] == "extra_forbidden":
        known = _known_keys(model, error["loc"][:-1])
        return f"  {place}: unknown key{nearest(str(error['loc'][-1]), known)}"
    if error["type"] == "missing":
        return f"  {place}: missing; it is required"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] in ("tuple_type", "too_short"):  # YAML has lists
        message = message.replace("valid tuple", "valid list").replace("Tuple", "List")
    if error["type"] != "value_error" or not isinstance(error["input"], Mapping):
        message += f"; got {error['input']!r}"
    # Without a place it is a fault between sections, which the message names.
    return f"  {place}: {message}" if place else f"  {message}"


def _follows_from_others(error: Mapping[str, Any]) -> bool:
    """Whether a list counts as too short only because faults of its items are said already."""
    return error["type"] == "too_short" and len(error["input"]) > int(error["ctx"]["actual_length"])


def _known_keys(model: type[BaseModel], loc: Sequence[Any]) -> list[str]:
    for part in loc:
        annotation = model.model_fields[part].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)
