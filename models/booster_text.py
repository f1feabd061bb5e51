"""LightGBM's text format, checked before the library sees it: a wrong tree reads wild memory."""

import re
from typing import Any

# The library takes more characters for ends of lines and numbers than Python does, and fewer too.
_PLAIN = re.compile(r"[\n -~]*")
_INTEGERS = re.compile(r"-?[0-9]{1,9}(?: -?[0-9]{1,9})*")
_SECTION = "\nTree="
_END = "\nend of trees"


def booster_from_text(text: str) -> Any:
    """Load a booster of one target, of plain trees.

    Returns
    -------
    lightgbm.Booster

    Raises
    ------
    ValueError
        When the text is no such booster: every split must ask for a column there is and lead to
        two leaves there are, or to splits that come after it, so that every way down ends.
    """
    import lightgbm

    trees, end, _ = text.partition(_END)
    header, *sections = trees.split(_SECTION)
    said = _values(header)
    is_plain = _PLAIN.fullmatch(text) is not None
    if (
        not is_plain
        or not end
        or said.get("num_class") != "1"
        or said.get("num_tree_per_iteration") != "1"
    ):
        raise ValueError("no booster of one target in LightGBM's text format")
    n_columns = _integer(said, "max_feature_idx") + 1
    for section in sections:
        _check(_values(section), n_columns)
    # The library would follow these sizes, not the text that was checked.
    unsized = "\n".join(line for line in text.split("\n") if not line.startswith("tree_sizes="))
    try:
        return lightgbm.Booster(model_str=unsized)
    except lightgbm.basic.LightGBMError as error:
        raise ValueError(f"not in LightGBM's text format: {error}") from error


def _values(section: str) -> dict[str, str]:
    pairs = [line.partition("=")[::2] for line in section.splitlines() if "=" in line]
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a tree says something twice")
    return values


def _check(tree: dict[str, str], n_columns: int) -> None:
    n_leaves = _integer(tree, "num_leaves")
    if tree["num_cat"] != "0" or tree["is_linear"] != "0" or n_leaves < 1:
        raise ValueError("a tree of categories or linear leaves, or without leaves")
    if len(tree["leaf_value"].split()) != n_leaves:
        raise ValueError(f"a tree of {n_leaves} leaves without as many values")
    if n_leaves == 1:
        return
    n_splits = n_leaves - 1
    for name in ("left_child", "right_child", "split_feature", "threshold", "decision_type"):
        if len(tree[name].split()) != n_splits:
            raise ValueError(f"a tree of {n_splits} splits without as many of {name}")
    if not all(0 <= column < n_columns for column in _integers(tree, "split_feature")):
        raise ValueError(f"a tree that asks for columns beyond its {n_columns}")
    if any(kind & 1 for kind in _integers(tree, "decision_type")):
        raise ValueError("a tree that splits by category")
    for name in ("left_child", "right_child"):
        for number, child in enumerate(_integers(tree, name)):
            if not (number < child < n_splits or -n_leaves <= child < 0):
                raise ValueError("a tree whose splits do not come before what they lead to")


def _integer(values: dict[str, str], name: str) -> int:
    (number,) = _integers(values, name)
    return number


def _integers(values: dict[str, str], name: str) -> list[int]:
    """Read whole numbers where Python and the library cannot differ: 1_0 is ten here, one there."""
    if not _INTEGERS.fullmatch(values[name]):
        raise ValueError(f"a tree whose {name} are no whole numbers")
    return [int(number) for number in values[name].split(" ")]
