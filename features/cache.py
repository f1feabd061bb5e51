"""Embeddings on disk, found again by what they are: shared between runs and checkouts.

One folder per encoder identity, in it segments that runs append to, each run to its own: two runs
can write side by side without a lock. A lock file keeps `features.upkeep` from pruning under a run.
"""

import fcntl
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from features.segments import Embedding, Place, SegmentWriter, read_record, scan_segment

DESCRIPTION = "encoder.json"
"""In each identity's folder: what made its embeddings. Its time of change is that of last use."""

_LOCK = "lock"


def default_cache_root() -> Path:
    """Return ``$ERI_CACHE``, or ``.eri-cache`` in the working folder."""
    return Path(os.environ.get("ERI_CACHE") or ".eri-cache")


@contextmanager
def cache_in_use(root: Path) -> Iterator[None]:
    """Hold the cache while a run uses it; any number of runs may.

    Raises
    ------
    OSError
        When the folder cannot be made or written; the message names it and ``ERI_CACHE``.
    """
    with _locked(root, fcntl.LOCK_SH):
        yield


@contextmanager
def cache_to_itself(root: Path) -> Iterator[None]:
    """Hold the cache while it is pruned.

    Raises
    ------
    OSError
        When a run uses it.
    """
    try:
        with _locked(root, fcntl.LOCK_EX | fcntl.LOCK_NB):
            yield
    except BlockingIOError:
        raise OSError(f"a run uses the embedding cache {root}: prune it when none does") from None


def segments_in(folder: Path) -> list[Path]:
    """List the segments of an identity, the oldest first."""
    return sorted(folder.glob("*.arrows"))


def clips_in(folder: Path) -> dict[str, Place]:
    """Find the clips of an identity by digest."""
    places: dict[str, Place] = {}
    for path in segments_in(folder):
        places.update(scan_segment(path).places)
    return places


def read_description(folder: Path) -> dict[str, Any] | None:
    """Return what an identity's folder says of it; None when that was cut short."""
    try:
        description: dict[str, Any] = json.loads((folder / DESCRIPTION).read_bytes())
    except ValueError:  # by a power failure: the embeddings are none the worse
        return None
    return description


class EmbeddingCache:
    """The cached embeddings of one encoder identity.

    Parameters
    ----------
    root : Path
        The cache's folder, for all encoders.
    identity : str
        As `features.identity.encoder_identity` gives it.
    description : mapping
        What the identity stands for, JSON-serialisable, for people and for ``eri store ls``.

    Attributes
    ----------
    description : dict
        The same, with what earlier runs added.

    Raises
    ------
    OSError
        When the folder cannot be made or written; the message names it and ``ERI_CACHE``.
    """

    def __init__(self, root: Path, identity: str, description: Mapping[str, Any]) -> None:
        self._folder = root / identity
        self._places: dict[str, Place] = {}
        self._checked: set[str] = set()
        self._pending: dict[str, Embedding] = {}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self.description = _describe(self._folder, description)
        except OSError as error:
            raise _unwritable(self._folder, error) from error
        self._writer = SegmentWriter(self._folder)
        for path in segments_in(self._folder):
            scan = scan_segment(path)
            self._places.update(scan.places)
            if scan.n_lost_bytes:
                _warn(f"the last {scan.n_lost_bytes} bytes of {path} are no whole record")

    def __contains__(self, clip_sha256: str) -> bool:
        """Whether the clip is cached, and its record undamaged."""
        return clip_sha256 in self._pending or self._is_whole(clip_sha256)

    def __len__(self) -> int:
        return len(self._places.keys() | self._pending.keys())

    def describe(self, more: Mapping[str, Any]) -> None:
        """Add to the description, for later runs.

        Raises
        ------
        OSError
            When it cannot be written.
        """
        try:
            self.description = {**self.description, **more}
            _write(self._folder / DESCRIPTION, self.description)
        except OSError as error:
            raise _unwritable(self._folder, error) from error

    def get(self, clip_sha256: str) -> Embedding:
        """Return one clip's embedding; raises KeyError when it is not cached."""
        if clip_sha256 in self._pending:
            return self._pending[clip_sha256]
        checked = clip_sha256 in self._checked
        embedding = read_record(self._places[clip_sha256], check=not checked)
        if embedding is None:
            raise KeyError(clip_sha256)
        return embedding

    def put(self, clip_sha256: str, embedding: Embedding) -> None:
        """Keep one clip's embedding; `flush` brings it to disk."""
        self._pending[clip_sha256] = embedding

    def flush(self) -> None:
        """Write what is pending as one record batch.

        Raises
        ------
        OSError
            When it cannot be written; what was pending stays pending.
        """
        if not self._pending:
            return
        try:
            places = self._writer.append(self._pending)
        except OSError as error:
            raise _unwritable(self._folder, error) from error
        self._places.update(places)
        self._checked.update(self._pending)
        self._pending = {}

    def _is_whole(self, clip: str) -> bool:
        if clip in self._checked:
            return True
        place = self._places.get(clip)
        if place is None:
            return False
        if read_record(place) is None:
            _warn(f"the record of clip {clip[:12]}… in {place.path} is damaged")
            del self._places[clip]
            return False
        self._checked.add(clip)
        return True


@contextmanager
def _locked(root: Path, how: int) -> Iterator[None]:
    try:
        root.mkdir(parents=True, exist_ok=True)
        file = (root / _LOCK).open("a")
    except OSError as error:
        raise _unwritable(root, error) from error
    with file:
        fcntl.flock(file, how)
        yield


def _describe(folder: Path, description: Mapping[str, Any]) -> dict[str, Any]:
    path = folder / DESCRIPTION
    if path.exists() and (known := read_description(folder)) is not None:
        path.touch()
        return known
    _write(path, description)
    return dict(description)


def _write(path: Path, description: Mapping[str, Any]) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    beside.write_text(json.dumps(description, indent=2, sort_keys=True))
    beside.replace(path)


def _warn(what: str) -> None:
    warnings.warn(
        f"embedding cache: {what}. What was there is computed again; `eri store gc` clears it up.",
        stacklevel=3,
    )


def _unwritable(folder: Path, error: OSError) -> OSError:
    return OSError(
        error.errno,
        f"the embedding cache {folder} cannot be written ({error.strerror}): make room or give "
        "write access, or set ERI_CACHE to another folder",
    )
