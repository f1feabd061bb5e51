"""A digest of the code and the libraries that heads are fitted by: other ones, other numbers."""

import os
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from features.files import file_sha256
from pipeline.result_cache import digest_of

_ROOT = Path(__file__).parents[1]
_CODE = ("models", "pipeline/fit.py", "pipeline/views.py")
_LIBRARIES = ("lightgbm", "numpy", "scikit-learn", "scipy", "torch")


@cache
def code_in_use() -> str:
    """Return the digest of the code as it was first asked for in this process."""
    return code_digest()


def code_digest() -> str:
    """Return a digest of the code that fits heads, and of what else their numbers hang on."""
    places = [_ROOT / name for name in _CODE]
    files = [each for p in places for each in (sorted(p.rglob("*.py")) if p.is_dir() else [p])]
    return digest_of(
        code={file.relative_to(_ROOT).as_posix(): file_sha256(file) for file in files},
        versions={name: _version(name) for name in _LIBRARIES},
        gpu=_gpus(),
    )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _gpus() -> str | None:
    """Tell which GPUs heads may compute on: a GPU rounds otherwise than a processor does."""
    driver = Path("/proc/driver/nvidia").exists()
    return os.environ.get("CUDA_VISIBLE_DEVICES", "all") if driver else None
