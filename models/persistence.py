"""Fitted heads and stacks as plain data, and back: JSON, arrays and LightGBM's text.

`dump` walks over what a fit has learned, `load` puts it back. Both know a closed list of types and
refuse all others: nothing that is loaded can run code, or become anything but what is listed here.
Predictions before and after are the same, bit for bit.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.cross_decomposition import PLSRegression
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import ElasticNet
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neighbors import KNeighborsRegressor
from sklearn.svm import LinearSVR
from sklearn.tree import ExtraTreeRegressor

from models.booster_text import booster_from_text
from models.heads import HEADS
from models.kernel import KernelFeatures
from models.projection import Projection
from models.scaling import InputScaler
from models.stack import Stack
from models.trees import check_columns, is_tree, tree_from_parts, tree_parts

_PARTS = (Projection, KernelFeatures, InputScaler)
_REGRESSORS = (
    ElasticNet,
    ExtraTreeRegressor,
    ExtraTreesRegressor,
    KNeighborsRegressor,
    LinearSVR,
    MultiOutputRegressor,
    PLSRegression,
)
_KNOWN: dict[str, type] = {
    each.__name__: each for each in (*HEADS.values(), Stack, *_PARTS, *_REGRESSORS)
}
_DTYPES = frozenset({"bool", "uint8", "int32", "int64", "float16", "float32", "float64"})


class PersistenceError(ValueError):
    """Something that cannot be written as plain data, or is not what was written."""


@dataclass
class Dumped:
    """A fitted object as plain data.

    Attributes
    ----------
    tree : JSON-like
        Its structure; arrays and texts are named in it.
    arrays : dict of str to array
        Each in one piece of memory, row after row.
    texts : dict of str to str
        Boosters in LightGBM's text format.
    """

    tree: Any
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)


def dump(fitted: Any) -> Dumped:
    """Write a fitted head or stack as plain data.

    Parameters
    ----------
    fitted : Head or Stack
        Stays as it is; arrays are not copied where they need not be.

    Raises
    ------
    PersistenceError
        When it holds something of a type that is not on the list: says where and what.
    """
    dumped = Dumped(None)
    dumped.tree = _encode(fitted, type(fitted).__name__, dumped)
    return dumped


def load(dumped: Dumped) -> Any:
    """Build the object that `dump` was given; arrays are copied.

    Raises
    ------
    PersistenceError
        When this is nothing that `dump` writes.
    """
    unused = {*dumped.arrays, *dumped.texts}
    try:
        loaded = _decode(dumped.tree, dumped, unused)
    except PersistenceError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError) as error:
        raise PersistenceError(f"not what was written: {error!r}") from error
    except ValueError as error:
        raise PersistenceError(f"not what was written: {error}") from error
    if unused:
        raise PersistenceError(f"not what was written: nothing uses {sorted(unused)[:3]}")
    return loaded


def _encode(value: Any, place: str, out: Dumped) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if type(value) is int or (type(value) is float and np.isfinite(value)):
        return value
    if isinstance(value, float | np.generic):
        return {"type": "scalar", "array": _keep(np.asarray(value), place, out)}
    if isinstance(value, np.ndarray):
        by_column = value.flags.f_contiguous and not value.flags.c_contiguous
        # Products round by how a matrix lies in memory, so that is kept too.
        name = _keep(value.T if by_column else value, place, out)
        return {"type": "array", "array": name, "by_column": by_column}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        items = [_encode(item, f"{place}.{number}", out) for number, item in enumerate(value)]
        return {"type": kind, "items": items}
    if type(value) is dict and all(isinstance(key, str) for key in value):
        return {"type": "dict", "items": _encode_all(value, place, out)}
    if is_tree(value):
        return {"type": "tree", "items": _encode_all(tree_parts(value), place, out)}
    name = type(value).__name__
    if name == "Booster" and type(value).__module__ == "lightgbm.basic":
        out.texts[place] = value.model_to_string()
        return {"type": "booster", "text": place}
    if _KNOWN.get(name) is not type(value):
        raise PersistenceError(
            f"{place} is a {type(value).__module__}.{name}, which cannot be written as plain data; "
            "expected numbers, texts, arrays, or a class that models/persistence.py lists"
        )
    if isinstance(value, BaseEstimator):
        settings = value.get_params(deep=False)
        learned = {key: each for key, each in vars(value).items() if key not in settings}
        return {
            "type": "estimator",
            "class": name,
            "settings": _encode_all(settings, place, out),
            "learned": _encode_all(learned, place, out),
        }
    assert is_dataclass(value)  # what is left of the list
    attributes = {each.name: getattr(value, each.name) for each in fields(value)}
    return {"type": "dataclass", "class": name, "items": _encode_all(attributes, place, out)}


def _encode_all(values: Mapping[str, Any], place: str, out: Dumped) -> dict[str, Any]:
    return {key: _encode(value, f"{place}.{key}", out) for key, value in values.items()}


def _keep(array: NDArray[Any], place: str, out: Dumped) -> str:
    if array.dtype.name not in _DTYPES:
        raise PersistenceError(
            f"{place} is an array of {array.dtype}; expected one of {sorted(_DTYPES)}"
        )
    out.arrays[place] = np.require(array, requirements="C")
    return place


def _decode(tree: Any, given: Dumped, unused: set[str]) -> Any:
    if tree is None or isinstance(tree, bool | int | float | str):
        return tree
    tree = dict(tree)
    kind = tree.pop("type")
    if kind not in _DECODERS:
        raise PersistenceError(f"not what was written: unknown type {kind!r}")
    return _DECODERS[kind](tree, given, unused)


def _decode_all(trees: Mapping[str, Any], given: Dumped, unused: set[str]) -> dict[str, Any]:
    return {key: _decode(each, given, unused) for key, each in trees.items()}


def _items(tree: dict[str, Any], given: Dumped, unused: set[str]) -> list[Any]:
    return [_decode(item, given, unused) for item in tree["items"]]


def _scalar(tree: dict[str, Any], given: Dumped, unused: set[str]) -> Any:
    return _take(given.arrays, tree["array"], unused)[()]


def _array(tree: dict[str, Any], given: Dumped, unused: set[str]) -> Any:
    array = _take(given.arrays, tree["array"], unused).copy()  # bytes that were read cannot change
    return array.T if tree["by_column"] else array


def _booster(tree: dict[str, Any], given: Dumped, unused: set[str]) -> Any:
    return booster_from_text(_take(given.texts, tree["text"], unused))


def _estimator(tree: dict[str, Any], given: Dumped, unused: set[str]) -> Any:
    known = _class(tree["class"])
    settings = _decode_all(tree["settings"], given, unused)
    learned = _decode_all(tree["learned"], given, unused)
    if not issubclass(known, BaseEstimator) or any(hasattr(known, key) for key in learned):
        raise PersistenceError(f"not what was written: no {known.__name__} has {sorted(learned)}")
    estimator = known(**settings)
    vars(estimator).update(learned)
    check_columns(estimator)
    return estimator


def _dataclass(tree: dict[str, Any], given: Dumped, unused: set[str]) -> Any:
    known = _class(tree["class"])
    if not is_dataclass(known):
        raise PersistenceError(f"not what was written: {known.__name__} is no data class")
    return known(**_decode_all(tree["items"], given, unused))


def _class(name: str) -> type:
    if name not in _KNOWN:
        raise PersistenceError(f"unknown class {name!r}: expected one of {sorted(_KNOWN)}")
    return _KNOWN[name]


def _take(kept: Mapping[str, Any], name: str, unused: set[str]) -> Any:
    unused.remove(name)  # each is used once
    return kept[name]


_DECODERS: dict[str, Callable[[dict[str, Any], Dumped, set[str]], Any]] = {
    "array": _array,
    "booster": _booster,
    "dataclass": _dataclass,
    "dict": lambda tree, given, unused: _decode_all(tree["items"], given, unused),
    "estimator": _estimator,
    "list": _items,
    "scalar": _scalar,
    "tree": lambda tree, *rest: tree_from_parts(_decode_all(tree["items"], *rest)),
    "tuple": lambda tree, *rest: tuple(_items(tree, *rest)),
}
