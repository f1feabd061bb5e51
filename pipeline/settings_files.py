"""YAML files of settings: read with what is wrong in one line per fault, and written back.

What is written back leaves comments and order as they are.
"""

import difflib
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import CommentMark, YAMLError
from ruamel.yaml.tokens import CommentToken

from features.files import replacing_file


class ParamsError(Exception):
    """`params.yaml` is missing or not as it should be; the message lists every fault."""


def read_keys(path: Path, model: type[BaseModel]) -> dict[str, Any]:
    """Read a YAML file of keys, those that `model` has.

    Raises
    ------
    ParamsError
        As `read_yaml`; also when the file holds no keys.
    """
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise ParamsError(f"{path} holds no keys: expected {list(model.model_fields)}")
    return content


def read_yaml(path: Path) -> Any:
    """Read a YAML file.

    Raises
    ------
    ParamsError
        When the file is missing, is no YAML in UTF-8, or holds a key twice.
    """
    try:
        return YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError(f"there is no {path} here: run from the root of the repository") from None
    except UnicodeDecodeError as error:
        raise ParamsError(f"{path} is not UTF-8 ({error}): save it as UTF-8") from None
    except DuplicateKeyError as error:
        key = str(error.problem).split('"')[1]
        raise ParamsError(
            f"{path}: the key {key!r} stands there twice{error.problem_mark}"
        ) from None
    except YAMLError as error:
        raise ParamsError(f"{path} is not valid YAML: {error}") from error


def refuse(path: Path, faults: Sequence[str]) -> None:
    """Raise `ParamsError` with the faults of a file, one per line, if there are any."""
    if faults:
        raise ParamsError("\n".join([f"{path}: {len(faults)} fault(s)", *faults]))


def model_faults(model: type[BaseModel], values: Any) -> list[str]:
    """Say in one line each what `model` has against the values."""
    try:
        model.model_validate(values)
    except ValidationError as error:
        faults = map(dict, error.errors())
        return [_fault(model, each) for each in faults if not _follows_from_others(each)]
    return []


def nearest(name: str, known: Sequence[str]) -> str:
    """Name the nearest known name, if one is near, and all of them: the end of a message."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return f"{hint} Known: {', '.join(known)}"


def yaml_text(content: Mapping[str, Any]) -> str:
    """Write plain values as YAML, keys in their order."""
    yaml = YAML()
    yaml.representer.add_representer(type(None), _as_null)
    text = io.StringIO()
    yaml.dump(content, text)
    return text.getvalue()


def update_settings(
    path: Path, changes: Mapping[str, Any], check: Callable[[Path], object]
) -> bool:
    """Set values in a file of settings.

    The file is written beside its place, checked, and only then renamed: it is never left
    half-written or unusable.

    Parameters
    ----------
    path : Path
        The file.
    changes : mapping
        Values by key; a mapping is merged into the section of that name, key by key. What is not
        named stays as it is.
    check : callable
        Is given the new file before it takes its place; raises when it is not valid.

    Returns
    -------
    bool
        Whether anything changed; if not, the file was not written.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096  # long lines stay whole
    content = yaml.load(path.read_text(encoding="utf-8"))
    if not _merge(content, changes):
        return False
    with replacing_file(path) as beside:
        with beside.open("w", encoding="utf-8") as file:
            yaml.dump(content, file)
        try:
            check(beside)
        except ParamsError as error:  # it names the file that it was given
            raise ParamsError(str(error).replace(str(beside), str(path))) from None
    return True


def _as_null(representer: Any, _: None) -> Any:
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")


def _fault(model: type[BaseModel], error: Mapping[str, Any]) -> str:
    *above, (last, _) = _places(model, error["loc"]) or [("", model)]
    place = ".".join(name for name, _ in [*above, (last, None)])
    if error["type"] == "extra_forbidden":
        section = above[-1][1] if above else model
        known = list(section.model_fields) if _is_model(section) else []
        return f"  {place}: unknown key{nearest(last, known)}"
    if error["type"] in ("union_tag_invalid", "union_tag_not_found"):
        kinds = [each.strip("' ") for each in error["ctx"].get("expected_tags", "").split(",")]
        kind = str(error["ctx"].get("tag"))
        return f"  {place}.kind: unknown kind {kind!r}{nearest(kind, kinds)}"
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


def _places(model: Any, loc: Sequence[str | int]) -> list[tuple[str, Any]]:
    """Follow a place of pydantic's through types: names as in the file, and the type at each."""
    places: list[tuple[str, Any]] = []
    annotation = model
    for part in loc:
        while get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        if get_origin(annotation) in (Union, UnionType):
            kinds = {_kind(each): each for each in get_args(annotation) if _is_model(each)}
            if part in kinds:  # pydantic names the kind, too
                annotation = kinds[part]
                places[-1] = places[-1][0], annotation
                continue
        if _is_model(annotation):
            field = annotation.model_fields.get(part)
            annotation = None if field is None else field.annotation
        else:
            annotation = get_args(annotation)[-1] if get_origin(annotation) is dict else None
        places.append((str(part), annotation))
    return places


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _kind(model: type[BaseModel]) -> Any:
    field = model.model_fields.get("kind")
    return get_args(field.annotation)[0] if field and get_args(field.annotation) else None


def _merge(section: CommentedMap, changes: Mapping[str, Any]) -> bool:
    changed = False
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(section.get(key), Mapping):
            after = "" if section[key] or not value else _open(section, key)
            changed |= _merge(section[key], value)
            _put_lines_after(section[key], after)
        elif key not in section or section[key] != value:
            _set(section, key, value)
            changed = True
    return changed


def _set(section: CommentedMap, key: str, value: Any) -> None:
    after = "" if key in section else _cut_lines_after(section)
    if isinstance(value, Mapping):
        value = CommentedMap(value)
    elif isinstance(value, list):
        value = CommentedSeq(value)
        value.fa.set_flow_style()  # in one line
    section[key] = value
    _put_lines_after(section, after)


def _open(parent: CommentedMap, key: str) -> str:
    """Make ``{}`` a section that takes entries below it; return the lines that follow it."""
    tokens = parent.ca.items.get(key)
    own, _, after = tokens[2].value.partition("\n") if tokens and tokens[2] else ("", "", "")
    parent[key] = section = CommentedMap()
    token = CommentToken(own + "\n", CommentMark(0)) if own else None
    parent.ca.items[key] = [None, None, token, None]
    section.ca.comment = [token, None]
    return str(after)


def _put_lines_after(section: CommentedMap, lines: str) -> None:
    if lines:
        last, name = _last_entry(section)
        last.ca.items[name] = [None, None, CommentToken("\n" + lines, CommentMark(0)), None]


def _cut_lines_after(section: CommentedMap) -> str:
    """Take the blank and comment lines after the last entry: a new one comes before them."""
    if not section:
        return ""
    last, name = _last_entry(section)
    tokens = last.ca.items.get(name)
    if not tokens or tokens[2] is None:
        return ""
    own, end, after = tokens[2].value.partition("\n")
    tokens[2].value = own + end
    if not own:
        del last.ca.items[name]
    return str(after)


def _last_entry(section: CommentedMap) -> tuple[CommentedMap, Any]:
    name = next(reversed(section))
    inner = section[name]
    return _last_entry(inner) if isinstance(inner, CommentedMap) and inner else (section, name)
