"""Results kept on disk under a digest of all that they depend on, for every command to share.

They lie beside the cached embeddings in the folder ``results`` (below ``.eri-cache`` where those
are in an object store), an npz file each. A file is there as a whole or not at all; a damaged one
counts as not there.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.cache import default_cache_root
from features.files import file_sha256, remove_unused, replacing_file

MAX_BYTES = 8 * 2**30
"""Beyond this size the least recently used files are removed."""

_IN_USE_DAYS = 1 / 24
_NAMES = "_names"  # of the arrays in an archive
_ROOT = Path(__file__).parents[1]
_CODE = ("models", "pipeline/fit.py", "pipeline/views.py")
_LIBRARIES = ("lightgbm", "numpy", "scikit-learn", "scipy", "torch")


def digest_of(**parts: object) -> str:
    """Return a digest of parts that JSON can hold, 32 hexadecimal digits.

    Examples
    --------
    >>> digest_of(head="ridge", seed=0) == digest_of(seed=0, head="ridge")
    True
    """
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def code_digest() -> str:
    """Return a digest of the code that fits heads, of its libraries and of where it computes."""
    places = [_ROOT / name for name in _CODE]
    files = [each for p in places for each in (sorted(p.rglob("*.py")) if p.is_dir() else [p])]
    has_gpu = Path("/proc/driver/nvidia").exists()  # a GPU rounds otherwise than a processor does
    return digest_of(
        code={file.relative_to(_ROOT).as_posix(): file_sha256(file) for file in files},
        versions={name: version(name) for name in _LIBRARIES},
        gpu=has_gpu and os.environ.get("CUDA_VISIBLE_DEVICES") != "",
    )


def result_file(key: str, suffix: str = ".npz") -> Path:
    """Where the result under a key is, or will be; one that is there counts as used now."""
    path = _folder() / f"{key}{suffix}"
    with suppress(OSError):  # not there, or a cache that only others may write
        os.utime(path)
    return path


def load_result(key: str) -> dict[str, NDArray[Any]] | None:
    """Return the arrays kept under a key, or None."""
    try:
        with np.load(result_file(key)) as found:
            arrays = dict(found)
        whole = list(arrays.pop(_NAMES)) == list(arrays)  # archives check contents, but no names
        return arrays if whole else None
    except Exception:  # what a damaged file leads to depends on where it is damaged
        return None


def keep_result(key: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Keep arrays under a key, and remove what was not used for long where there is too much."""
    with replacing_file(result_file(key)) as beside, beside.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays, **{_NAMES: np.array(list(arrays))})
    with suppress(OSError):  # another process may be about to read what was used lately
        remove_unused_results(_IN_USE_DAYS, MAX_BYTES)


def remove_unused_results(for_days: float, max_bytes: int = 0) -> tuple[int, int]:
    """Remove results as `features.files.remove_unused` does."""
    return remove_unused(_folder(), for_days, max_bytes)


def _folder() -> Path:
    root = default_cache_root()
    return Path(".eri-cache" if "://" in root else root) / "results"
