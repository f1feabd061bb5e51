"""LightGBM's text format, checked before the library sees it: a wrong tree reads wild memory."""

from typing import Any

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
    if not end or said.get("num_class") != "1" or said.get("num_tree_per_iteration") != "1":
        raise ValueError("no booster of one target in LightGBM's text format")
    n_columns = int(said["max_feature_idx"]) + 1
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
    n_leaves = int(tree["num_leaves"])
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
    if not all(0 <= int(column) < n_columns for column in tree["split_feature"].split()):
        raise ValueError(f"a tree that asks for columns beyond its {n_columns}")
    if any(int(kind) & 1 for kind in tree["decision_type"].split()):
        raise ValueError("a tree that splits by category")
    for name in ("left_child", "right_child"):
        for number, child in enumerate(map(int, tree[name].split())):
            if not (number < child < n_splits or -n_leaves <= child < 0):
                raise ValueError("a tree whose splits do not come before what they lead to")
