"""scikit-learn's decision trees as arrays, and back, checked: a wrong one reads wild memory."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.tree import ExtraTreeRegressor
from sklearn.tree._tree import Tree

LEAF = -1


def is_tree(value: Any) -> bool:
    """Whether this is scikit-learn's compiled tree."""
    return isinstance(value, Tree)


def tree_parts(tree: Any) -> dict[str, Any]:
    """Take a tree of one or several numeric targets apart into numbers and arrays.

    Returns
    -------
    dict
        ``n_features``, ``max_depth``, ``values`` [n_nodes, n_targets, 1], and ``nodes``: an array
        [n_nodes] for each field of a node.
    """
    state = tree.__getstate__()
    nodes = state["nodes"]
    return {
        "n_features": int(tree.n_features),
        "max_depth": int(state["max_depth"]),
        "values": state["values"],
        "nodes": {name: np.ascontiguousarray(nodes[name]) for name in nodes.dtype.names},
    }


def tree_from_parts(parts: Mapping[str, Any]) -> Any:
    """Put a tree together again.

    Raises
    ------
    ValueError
        When the parts are no tree: every node but a leaf must have a column to ask for and two
        children that come after it, so that every way down ends at a leaf.
    """
    nodes, values, n_features = parts["nodes"], parts["values"], parts["n_features"]
    n_nodes, n_targets = len(values), values.shape[1]
    empty = Tree(1, np.ones(1, np.intp), 1).__getstate__()["nodes"]
    if set(nodes) != set(empty.dtype.names) or {each.shape for each in nodes.values()} != {
        (n_nodes,)
    }:
        raise ValueError(
            f"a tree with nodes of {sorted(nodes)}; this scikit-learn has {empty.dtype.names}"
        )
    if values.dtype != np.float64 or values.shape != (n_nodes, n_targets, 1) or not n_nodes:
        raise ValueError(f"a tree with values {values.shape}; expected [n_nodes, n_targets, 1]")
    numbers = np.arange(n_nodes)
    inner = nodes["left_child"] != LEAF
    for child in (nodes["left_child"], nodes["right_child"]):
        if not ((child[inner] > numbers[inner]) & (child[inner] < n_nodes)).all():
            raise ValueError("a tree whose nodes do not come before their children")
    asked = nodes["feature"][inner]
    if not ((asked >= 0) & (asked < n_features)).all():
        raise ValueError(f"a tree that asks for columns beyond its {n_features}")
    together = np.empty(n_nodes, empty.dtype)
    for name, each in nodes.items():
        together[name] = each
    tree = Tree(n_features, np.ones(n_targets, np.intp), n_targets)
    tree.__setstate__(
        {
            "max_depth": parts["max_depth"],
            "node_count": n_nodes,
            "nodes": together,
            "values": values,
        }
    )
    return tree


def check_columns(estimator: Any) -> None:
    """Check that a tree, or all trees of a forest, ask for the columns that will be checked.

    scikit-learn compares inputs with the outermost estimator's ``n_features_in_`` alone.

    Raises
    ------
    ValueError
        When one of them was fitted on another number of columns.
    """
    if isinstance(estimator, ExtraTreesRegressor):
        widths = {tree.n_features_in_ for tree in estimator.estimators_}
    elif isinstance(estimator, ExtraTreeRegressor) and hasattr(estimator, "tree_"):
        widths = {estimator.tree_.n_features}
    else:
        return
    if widths != {estimator.n_features_in_}:
        raise ValueError(
            f"trees of {sorted(widths)} columns in an estimator of {estimator.n_features_in_}"
        )
