"""YAML files of settings: read with what is wrong in one line per fault, and written back.

They are YAML 1.2, as DVC reads them, to which ``no`` is a name.
"""

import io
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.scalarstring import DoubleQuotedScalarString as Quoted

from features.errors import nearest as nearest
from features.files import replacing_file

_PLAIN = re.compile(r"\w[\w .+-]*")


class ParamsError(Exception):
    """`params.yaml` is missing or not as it should be; the message lists every fault."""


class Section(BaseModel):
    """A part of a file: it does not change once it is read, and a key that it lacks is a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file of keys.

    Raises
    ------
    ParamsError
        When the file is missing, is no YAML in UTF-8, holds no keys, or one twice.
    """
    try:
        content = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError(f"there is no {path} here: run from the root of the repository") from None
    except (UnicodeDecodeError, YAMLError) as error:
        raise ParamsError(f"{path} is not valid YAML in UTF-8: {error}") from None
    if not isinstance(content, dict):
        raise ParamsError(f"{path} holds no keys")
    return content


def refuse(path: Path, faults: Iterable[str]) -> None:
    """Raise `ParamsError` with the faults of a file, one per line, if there are any.

    Each begins with its place, such as ``encoders.clip.model:``; its line is put before that.
    """
    yaml = path.read_text(encoding="utf-8") if path.is_file() else ""
    lines = [f"  {_line(yaml, fault)}{fault}" for fault in faults]
    if lines:
        raise ParamsError("\n".join([f"{path}: {len(lines)} fault(s)", *lines]))


def model_faults(model: Any, values: Any, place: tuple[str, ...] = ()) -> list[str]:
    """Say what a type of pydantic's has against the values at a place, in one line each."""
    try:
        TypeAdapter(model).validate_python(values)
    except ValidationError as error:
        return [".".join([*place, _fault(model, each)]) for each in error.errors()]
    return []


def known_names(asked: Iterable[str], known: Iterable[str], what: str) -> list[str]:
    """Return the names asked for, each once; an unknown one is a ParamsError with the nearest."""
    names, found = list(known), []
    # Shells and files may spell one name in two forms of Unicode.
    forms = {unicodedata.normalize("NFC", name): name for name in names}
    for name in asked:
        same = name if name in names else forms.get(unicodedata.normalize("NFC", name))
        if same is None:
            raise ParamsError(f"unknown {what} {name!r}{nearest(name, names)}")
        found.append(same)
    return list(dict.fromkeys(found))


def yaml_text(content: Any, in_one_line: bool = False) -> str:
    """Write plain values as YAML: keys in their order, each list, or all of it, in one line."""
    yaml = YAML()
    yaml.default_flow_style = in_one_line
    yaml.Representer = _Representer
    yaml.width = 2**20
    text = io.StringIO()
    yaml.dump(content, text)
    return text.getvalue()


def update_settings(
    path: Path, changes: Mapping[str, Any], check: Callable[[Path], object]
) -> bool:
    """Set values in a file of settings, and say whether that changed it.

    All other text stays as it is, and the file is never left half-written or unusable.

    Parameters
    ----------
    path : Path
        The file.
    changes : mapping
        Values by key; a mapping is merged into the section of that name, key by key, unless that
        is of another ``kind``.
    check : callable
        Is given the new file before it takes its place; raises when it is not valid.
    """
    before = path.read_text(encoding="utf-8")
    after = _with(before, (), changes)
    if after == before:
        return False
    with replacing_file(path) as beside:
        beside.write_text(after, encoding="utf-8")
        try:
            check(beside)
        except ParamsError as error:  # it names the file that it was given
            raise ParamsError(str(error).replace(str(beside), str(path))) from None
    return True


class _Representer(RoundTripRepresenter):
    """Writes a list in one line, in which more has to be in quotes than ruamel.yaml thinks."""

    def list(self, items: Sequence[Any]) -> Node:
        items = [
            each if not isinstance(each, str) or _PLAIN.fullmatch(each) else Quoted(each)
            for each in items
        ]
        return self.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)


_Representer.add_representer(list, _Representer.list)


def _fault(model: Any, error: Any) -> str:
    names, section = _place(model, error["loc"])
    kind, value, message = error["type"], error["input"], error["msg"]
    if kind == "extra_forbidden":
        message = f"unknown key{nearest(names[-1], list(section.model_fields))}"
    elif kind in ("union_tag_invalid", "union_tag_not_found"):
        kinds = [each.strip("' ") for each in error["ctx"].get("expected_tags", "").split(",")]
        tag = str(error["ctx"].get("tag"))
        names, message = [*names, "kind"], f"unknown kind {tag!r}{nearest(tag, kinds)}"
    elif kind == "missing":
        message = "missing; it is required"
    else:
        message = message.removeprefix("Value error, ")
        if kind in ("tuple_type", "too_short"):  # YAML has lists
            message = message.replace("valid tuple", "valid list").replace("Tuple", "List")
        if kind != "value_error" or not isinstance(value, Mapping):
            message += f"; got {value!r}"
    return f"{'.'.join(names)}: {message}"


def _place(model: Any, loc: Sequence[str | int]) -> tuple[list[str], Any]:
    """Turn a place of pydantic's into names as in the file; return the type that holds the last."""
    names: list[str] = []
    section = annotation = model
    for part in loc:
        if part == "[key]":  # the key itself is wrong
            break
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        kinds = dict(map(_tagged, get_args(annotation)))
        if part in kinds:  # pydantic names the kind, too
            annotation = kinds[part]
            continue
        names.append(str(part))
        section = annotation
        if _is_model(section):
            field = section.model_fields.get(part)
            annotation = None if field is None else field.annotation
        else:
            annotation = get_args(section)[-1] if get_origin(section) is dict else None
    return names, section


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _tagged(member: Any) -> tuple[Any, Any]:
    """Return what pydantic calls a member of a union, if it is a model, and the member."""
    if get_origin(member) is Annotated:
        return getattr(get_args(member)[1], "tag", None), get_args(member)[0]
    field = member.model_fields.get("kind") if _is_model(member) else None
    return get_args(field.annotation)[0] if field and get_args(field.annotation) else None, member


def _nodes(node: Node) -> dict[str, tuple[Node, Node]]:
    """Return the key and the value of each entry by name; an item of a list is its own key."""
    if isinstance(node, MappingNode):
        return {str(key.value): (key, value) for key, value in node.value}
    items = node.value if isinstance(node, SequenceNode) else []
    return {str(number): (item, item) for number, item in enumerate(items)}


def _line(text: str, fault: str) -> str:
    """Name the line of a fault's place, or of what is there of it."""
    line, node = "", YAML().compose(text)
    for name in fault.partition(":")[0].split("."):
        if name not in _nodes(node):
            break
        key, node = _nodes(node)[name]
        line = f"line {key.start_mark.line + 1}: "
    return line


def _with(text: str, place: tuple[str, ...], changes: Mapping[str, Any]) -> str:
    """Return the text of a file with changes of the section at a place, which has entries.

    What is new or changed stands in one line.
    """
    for name, value in changes.items():
        section = YAML().compose(text)
        for each in place:
            section = _nodes(section)[each][1]
        entries = _nodes(section)
        key, node = entries.get(name, section.value[-1])
        end = max(_end(key, node), (text + ":").index(":", key.end_mark.index) + 1)
        if name not in entries:
            indent = " " * section.value[0][0].start_mark.column
            at = end if section.flow_style else (text + "\n").index("\n", end)
            comma = ", " if section.flow_style else f"\n{indent}"
            text = text[:at] + comma + _one_line({name: value}) + text[at:]
            continue
        old = reduce(getitem, (*place, name), YAML(typ="safe").load(text))
        both = old and isinstance(old, Mapping) and isinstance(value, Mapping)
        if both and old.get("kind") in (None, value.get("kind", old.get("kind"))):
            text = _with(text, (*place, name), value)
            continue
        if value != old:
            text = text[: key.start_mark.index] + _one_line({name: value}) + text[end:]
    return text


def _one_line(entry: Mapping[str, Any]) -> str:
    text = yaml_text(entry, in_one_line=True).strip()
    return text[1:-1].rstrip()


def _end(key: Node, node: Node) -> int:
    """Find where the text of a value ends, without the comments and blank lines after it."""
    while isinstance(node, MappingNode | SequenceNode) and node.value and not node.flow_style:
        last = node.value[-1]
        key, node = last if isinstance(node, MappingNode) else (last, last)
    is_there = node.end_mark.index > node.start_mark.index
    end: int = (node if is_there else key).end_mark.index
    return end
