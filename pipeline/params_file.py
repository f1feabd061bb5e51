"""Write values back into `params.yaml`, leaving its comments and its order as they are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import CommentMark
from ruamel.yaml.tokens import CommentToken

from pipeline.params import load_params


def set_head_settings(path: Path, head: str, settings: Mapping[str, Any]) -> None:
    """Set settings of a head in `params.yaml`; others stay as they are. See `set_values`."""
    set_values(path, {("heads", head): settings})


def set_values(path: Path, values: Mapping[tuple[str, ...], Any]) -> None:
    """Set values in `params.yaml`.

    The file is written beside its place, read as parameters, and only then renamed: it is never
    left half-written or unusable.

    Parameters
    ----------
    path : Path
        The file.
    values : mapping of tuple of str to object
        By the keys that lead to them, such as ``("encoders", "fau")``. A mapping is merged into
        the one that is there.

    Raises
    ------
    ParamsError
        When the result would not be valid; the file stays as it is.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096  # long lines stay whole
    content = yaml.load(path.read_text(encoding="utf-8"))
    for (*above, key), value in values.items():
        place = content
        for each in above:
            place = place[each]
        _set(place, key, value)
    beside = path.with_name(f".{path.name}.part")
    try:
        with beside.open("w", encoding="utf-8") as file:
            yaml.dump(content, file)
        load_params(beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _set(place: CommentedMap, key: str, value: Any) -> None:
    if isinstance(value, Mapping) and isinstance(place.get(key), CommentedMap):
        for name, each in value.items():
            _set(place[key], name, each)
        return
    after = "" if key in place else _cut_lines_after(place)
    place[key] = CommentedMap(value) if isinstance(value, Mapping) else value
    if after:
        last, name = _last_entry(place)
        last.ca.items[name] = [None, None, CommentToken("\n" + after, CommentMark(0)), None]


def _cut_lines_after(place: CommentedMap) -> str:
    """Take the blank and comment lines after the last entry: a new one comes before them."""
    last, name = _last_entry(place)
    tokens = last.ca.items.get(name)
    if not tokens or tokens[2] is None:
        return ""
    own, end, after = tokens[2].value.partition("\n")
    tokens[2].value = own + end
    if not own:
        del last.ca.items[name]
    return str(after)


def _last_entry(place: CommentedMap) -> tuple[CommentedMap, Any]:
    name = next(reversed(place))
    inner = place[name]
    return _last_entry(inner) if isinstance(inner, CommentedMap) and inner else (place, name)
