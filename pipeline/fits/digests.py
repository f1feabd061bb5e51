"""Digests of all that changes a fitted head's predictions, so that equal ones are fitted once."""

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pipeline.clip_table import Rows

Stamp = tuple[int, int, int]
"""Size, time of change and inode of a file: equal ones mean equal bytes."""

_MEMO = "files.json"
_MEMO_SIZE = 1000
_RECENT_NS = 2 * 10**9  # a second change within the clock's grain would leave the stamp as it is

_ROOT = Path(__file__).parents[2]
_CODE = (
    "models",
    "pipeline/fits/fitting.py",
    "pipeline/fits/pooled.py",
    "pipeline/predictions.py",
    "pipeline/views.py",
)
_POOLING_CODE = ("features/pool.py",)
_LIBRARIES = ("numpy", "scipy", "scikit-learn", "lightgbm", "torch")


def stamp_of(path: Path) -> Stamp:
    """Return a file's stamp; raises OSError where there is none."""
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


class FileDigests:
    """Digests of files, remembered between runs: an unchanged file is not read again.

    Parameters
    ----------
    folder : Path
        Where they are remembered.
    """

    def __init__(self, folder: Path) -> None:
        self._memo = folder / _MEMO
        self._known: dict[str, list[Any]] = {}
        with suppress(OSError, ValueError, TypeError):  # none yet, or damaged: files are read again
            self._known = dict(json.loads(self._memo.read_text(encoding="utf-8")))

    def of(self, path: Path) -> tuple[str, Stamp]:
        """Return the SHA-256 of a file's bytes, in hex, and the file's stamp."""
        stamp, key = stamp_of(path), str(path.resolve())
        known = self._known.get(key)
        if isinstance(known, list) and known[:-1] == list(stamp):
            return str(known[-1]), stamp
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if time.time_ns() - stamp[1] > _RECENT_NS:
            with suppress(OSError):  # then it is read again next time
                self._remember(key, [*stamp, digest])
        return digest, stamp

    def _remember(self, key: str, entry: list[Any]) -> None:
        self._known.pop(key, None)
        self._known[key] = entry
        last = dict(list(self._known.items())[-_MEMO_SIZE:])
        self._memo.parent.mkdir(parents=True, exist_ok=True)
        beside = self._memo.with_name(f".{_MEMO}.{os.getpid()}.part")
        beside.write_text(json.dumps(last), encoding="utf-8")
        beside.replace(self._memo)


def digest_of(parts: Mapping[str, Any]) -> str:
    """Return a digest of JSON-like parts, 32 hexadecimal digits."""
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def code_digest() -> str:
    """Return a digest of the code that heads are fitted by, and of the libraries' versions."""
    return digest_of({"code": _source(_CODE), "versions": _versions(), "gpu": _gpu()})


def pooling_code_digest() -> str:
    """Return a digest of the code that clip vectors are pooled by."""
    return digest_of({"code": _source(_POOLING_CODE)})


def rows_digest(rows: Rows) -> str:
    """Return a digest of clips in their order, splits, targets, people, folds and durations."""
    arrays = (rows.y, rows.fold_of_row, rows.clips["duration_s"].to_numpy(float))
    return digest_of(
        {
            "clips": rows.clip_ids,
            "splits": list(rows.clips["split"]),
            "people": [str(person) for person in rows.people],
            "arrays": [hashlib.sha256(each.tobytes()).hexdigest() for each in arrays],
        }
    )


def _source(places: Iterable[str]) -> dict[str, str]:
    files = [file for place in places for file in _python_files(_ROOT / place)]
    return {
        file.relative_to(_ROOT).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
    }


def _python_files(place: Path) -> list[Path]:
    return sorted(place.rglob("*.py")) if place.is_dir() else [place]


def _versions() -> dict[str, str | None]:
    return {name: _version(name) for name in _LIBRARIES}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _gpu() -> str | None:
    """Tell which GPUs heads may compute on: a GPU rounds otherwise than a processor does."""
    driver = Path("/proc/driver/nvidia").exists()
    return os.environ.get("CUDA_VISIBLE_DEVICES", "all") if driver else None
