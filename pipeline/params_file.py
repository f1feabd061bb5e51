"""Write values back into `params.yaml`, leaving its comments and its order as they are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import CommentMark
from ruamel.yaml.tokens import CommentToken

from features.files import replacing_file
from pipeline.params import load_params


def update_params(path: Path, changes: Mapping[str, Any]) -> bool:
    """Set values in `params.yaml`.

    The file is written beside its place, read as parameters, and only then renamed: it is never
    left half-written or unusable.

    Parameters
    ----------
    path : Path
        The file.
    changes : mapping
        Values by key; a mapping is merged into the section of that name, key by key. What is not
        named stays as it is.

    Returns
    -------
    bool
        Whether anything changed; if not, the file was not written.

    Raises
    ------
    ParamsError
        When the result would not be valid; the file stays as it is.
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
        load_params(beside, need_features=False)
    return True


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
