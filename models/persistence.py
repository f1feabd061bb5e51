"""Fitted heads and stacks as bytes, and back, by skops: no pickle, and an explicit list of types.

A file is a zip archive of a JSON text, which says what is made of what, and of arrays in NumPy's
format. Loading builds objects of the types listed here and of no other, whatever the file says, so
it cannot run code. It does not look into decision trees: keep the digest of a file beside it
(`pipeline.bundle` does), since scikit-learn and LightGBM follow the branches of a damaged tree
wherever they lead.
"""

import io
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from importlib import import_module
from typing import Any
from zipfile import ZipFile, ZipInfo

import numpy as np

from models.heads import HEADS, Head
from models.kernel import KernelRows
from models.projection import Projection
from models.scaling import InputScaler
from models.stack import Stack

_OURS = (*HEADS.values(), Stack, Projection, KernelRows, InputScaler)
TRUSTED = frozenset(
    {
        *(f"{each.__module__}.{each.__qualname__}" for each in _OURS),
        *(f"builtins.{name}" for name in ("bool", "dict", "float", "int", "list", "str", "tuple")),
        *(f"numpy.{name}" for name in ("bool", "float32", "float64", "int64", "ndarray")),
        "collections.OrderedDict",
        "collections.defaultdict",
        "lightgbm.basic.Booster",
        "sklearn.cross_decomposition._pls.PLSRegression",
        "sklearn.dummy.DummyRegressor",
        "sklearn.ensemble._forest.ExtraTreesRegressor",
        "sklearn.linear_model._coordinate_descent.ElasticNet",
        "sklearn.multioutput.MultiOutputRegressor",
        "sklearn.neighbors._regression.KNeighborsRegressor",
        "sklearn.svm._classes.LinearSVR",
        "sklearn.tree._classes.ExtraTreeRegressor",
        "sklearn.tree._tree.Tree",
    }
)
"""Names of all types that a fitted head or stack may be made of."""

_LOADERS = frozenset(
    {
        *("CachedNode", "DefaultDictNode", "DictNode", "JsonNode", "ListNode", "NdArrayNode"),
        *("ObjectNode", "TreeNode", "TupleNode", "TypeNode"),
    }
)
"""How skops may put them together; its others call functions or methods."""

_SCHEMA = "schema.json"


class PersistenceError(ValueError):
    """A fitted object that cannot be written, or bytes that are not what was written."""


def dumps(fitted: Head | Stack) -> bytes:
    """Write a fitted head or stack as bytes.

    Equal for equal contents: no times, addresses or random names are in them.

    Raises
    ------
    PersistenceError
        When something in it is of a type that is not `TRUSTED`; names the type.
    """
    skops_io = _skops_io()
    try:
        content = skops_io.dumps(fitted)
    except Exception as error:  # whatever a stranger's own methods raise
        raise PersistenceError(f"a {type(fitted).__name__} cannot be written: {error}") from error
    with ZipFile(io.BytesIO(content)) as archive:
        schema = _checked_schema(archive, f"this {type(fitted).__name__}")
        return _without_chance(archive, schema)


def loads(content: bytes) -> Head | Stack:
    """Build the head or stack that `dumps` was given; its predictions are the same, bit for bit.

    Raises
    ------
    PersistenceError
        When the bytes are damaged, or hold a type that is not `TRUSTED`, or neither a head nor a
        stack.
    """
    skops_io = _skops_io()
    try:
        with ZipFile(io.BytesIO(content)) as archive:
            _checked_schema(archive, "the file")
        fitted = skops_io.loads(content, trusted=sorted(TRUSTED))
        # Made anew, a stack checks its shapes.
        fitted = replace(fitted) if isinstance(fitted, Stack) else fitted
    except PersistenceError:
        raise
    except Exception as error:  # damage can show anywhere in skops, NumPy or a library
        raise PersistenceError(
            f"{len(content)} bytes are no fitted head or stack, or were changed since `dumps` "
            f"wrote them: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(fitted, Head | Stack):
        raise PersistenceError(f"the file holds a {type(fitted).__name__}, no head and no stack")
    return fitted


@cache
def _skops_io() -> Any:
    """Import skops, which imports all of scikit-learn, but not torch with it: 2 s and 500 MB."""
    of_torch = "sklearn.externals.array_api_compat.torch"
    if (was := sys.modules.get(of_torch)) is None:
        sys.modules[of_torch] = None  # type: ignore[assignment]  # how to say: not to be had
    try:
        return import_module("skops.io")
    finally:
        if was is None:
            del sys.modules[of_torch]


def _nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of a skops schema as the JSON object that describes it."""
    inside = schema.values() if isinstance(schema, dict) else schema
    if isinstance(schema, dict) and "__class__" in schema:
        yield schema
    for each in inside:
        if isinstance(each, dict | list):
            yield from _nodes(each)


def _checked_schema(archive: ZipFile, what: str) -> Any:
    """Read what is made of what; refuse types and ways of building them that are not listed."""
    schema = json.loads(archive.read(_SCHEMA))
    for node in _nodes(schema):
        name = f"{node['__module__']}.{node['__class__']}"
        if name not in TRUSTED or node["__loader__"] not in _LOADERS:
            raise PersistenceError(
                f"{what} holds a {name} ({node['__loader__']}); expected numbers, texts, arrays or "
                "a class that TRUSTED in models/persistence.py lists: add it there if it is plain "
                "data and yours"
            )
    return schema


def _without_chance(archive: ZipFile, schema: Any) -> bytes:
    """Replace what differs from call to call (addresses, names of files, times) by numbers."""
    numbers: dict[int, int] = {}
    files: dict[str, str] = {}
    for node in _nodes(schema):
        if "__id__" in node:
            node["__id__"] = numbers.setdefault(node["__id__"], len(numbers) + 1)
        if "file" in node:
            node["file"] = files.setdefault(node["file"], f"{len(files):05d}.npy")
    written = io.BytesIO()
    with ZipFile(written, "w") as copy:
        copy.writestr(ZipInfo(_SCHEMA), json.dumps(schema, indent=1))
        for old, new in files.items():
            copy.writestr(ZipInfo(new), _without_gaps(archive.read(old)))
    return written.getvalue()


def _without_gaps(array_file: bytes) -> bytes:
    """Put zeros between the fields of a tree's nodes, where any bytes may lie."""
    if b"'descr': [" not in array_file[:128]:
        return array_file
    array = np.load(io.BytesIO(array_file))
    clean = np.zeros(array.shape, array.dtype)
    for field in array.dtype.names:
        clean[field] = array[field]
    written = io.BytesIO()
    np.save(written, clean)
    return written.getvalue()
